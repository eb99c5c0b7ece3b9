import { parentPort, workerData } from 'node:worker_threads';
import { type ClassAd, parseAds, parseNewAd, unparseAd } from 'classad-parser';
import { messageOf, UserError } from '../errors.ts';
import type { JudgeAnswer, JudgeData } from './judge.ts';
import { decide } from './request.ts';
import type { JobFacts } from './starter.ts';

const { policy: policyText, config, givesAds } = workerData as JudgeData;
const policy = parseNewAd(policyText);
const say = (answer: JudgeAnswer): void => parentPort!.postMessage(answer);

parentPort!.on('message', (facts: JobFacts) => {
  try {
    const job = parse(facts.job, '.job.ad')
      .setBoolean('LarkAdIsStarters', facts.isStarters)
      .setInteger('LarkUid', facts.uid);
    // Whatever the ad itself says of these is not to be believed.
    job.delete('LarkSlot');
    if (facts.slot !== undefined) job.setString('LarkSlot', facts.slot);
    const machine = parse(facts.machine, '.machine.ad');
    const decision = decide({ job, machine, policy }, facts, config);
    if (givesAds && decision.kind === 'network') decision.ads = `${unparseAd(job)}\n${unparseAd(machine)}`;
    say({ decision });
  } catch (error) {
    say({ problem: messageOf(error) });
  }
});
say('ready');

/** @throws UserError where the starter has not written it yet */
function parse(text: string, name: string): ClassAd {
  const ad = parseAds(text)[0];
  if (!ad) throw new UserError(`${name} of the job is empty`);
  return ad;
}
