import type { Finding } from './evaluate.ts';
import type { SiteFacts } from './facts.ts';

/** Of the table of connections, for one job. */
const MOST_OF_TABLE = 0.25;

/** What of worker.yaml does not go together with this machine. Pure. */
export function site(facts: SiteFacts): Finding[] {
  const { problems, nameservers, isRateKnown, poolRoutes, inboundPorts, connections } = facts;
  const found = problems.map(
    (what): Finding => ({
      level: 'bad',
      what,
      cost: 'the agent does not start, or goes on with the configuration it has',
      cure: 'correct what it names',
    }),
  );
  if (nameservers?.length === 0) {
    found.push({
      level: 'costs',
      what: 'the machine asks only name servers of its own loopback',
      cost: 'jobs cannot look up names: their loopback is another one',
      cure: 'set resolver.nameservers in worker.yaml',
    });
  }
  if (isRateKnown === false) {
    found.push({
      level: 'costs',
      what: 'the rate of the uplink is not known',
      cost: 'request_bandwidth is not kept',
      cure: 'set shaping.uplinkMbps in worker.yaml',
    });
  }
  for (const route of poolRoutes) {
    found.push({
      level: 'costs',
      what: `the route ${route} leads into a pool of worker.yaml`,
      cost: 'jobs do not reach that network, and its machines take jobs for neighbours',
      cure: 'choose nat.ipv4Pool and nat.ipv6Pool that nothing else uses',
    });
  }
  const { range, inUse, isEphemeral } = inboundPorts;
  if (inUse.length > 0) {
    found.push({
      level: 'costs',
      what: `programs of the machine listen on ${inUse.join(', ')}, which nat.inboundPorts (${range}) gives to jobs`,
      cost: 'who connects there reaches a job once one was granted the port',
      cure: 'choose other ports for nat.inboundPorts',
    });
  }
  if (isEphemeral) {
    found.push({
      level: 'costs',
      what: `nat.inboundPorts (${range}) lies in net.ipv4.ip_local_port_range`,
      cost: 'answers to connections of the machine itself may reach a job instead',
      cure: `sysctl net.ipv4.ip_local_reserved_ports=${range}, or choose other ports`,
    });
  }
  const { perJob, inTable } = connections;
  if (inTable !== undefined && (perJob === 'none' || perJob > MOST_OF_TABLE * inTable)) {
    found.push({
      level: 'costs',
      what: `one job may have ${perJob === 'none' ? 'all' : perJob} of the ${inTable} connections that the kernel's table holds`,
      cost: 'a few such jobs leave the others, and the machine, no new ones',
      cure: 'lower isolation.maxConnections in worker.yaml, or raise net.netfilter.nf_conntrack_max',
    });
  }
  return found;
}
