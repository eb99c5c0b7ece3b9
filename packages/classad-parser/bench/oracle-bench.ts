/** The same work through HTCondor's Python module. */
export const ORACLE_BENCH = `
import json, sys, time
import htcondor, classad

task = json.load(sys.stdin)
count = task["text"].count("\\n\\n")


def rate(pieces, work):
    rates = []
    until = time.perf_counter() + task["seconds"]
    while True:
        start = time.perf_counter()
        work()
        now = time.perf_counter()
        rates.append(pieces / (now - start))
        if now >= until:
            break
    rates.sort()
    return round(rates[int(len(rates) * 0.75)])


def parse():
    return list(classad.parseAds(task["text"], classad.Parser.Old))


ads = parse()
policy = classad.ExprTree(task["policy"])
machine = classad.ClassAd(task["machine"])
job = classad.ClassAd(task["job"])


def evaluate():
    for ad in ads:
        policy.eval(ad)


def match():
    for _ in range(2000):
        assert machine.symmetricMatch(job)


def unparse():
    for ad in ads:
        ad.printOld()


print(json.dumps({
    "parseAdsPerSecond": rate(count, parse),
    "evalsPerSecond": rate(count, evaluate),
    "matchesPerSecond": rate(2000, match),
    "unparseAdsPerSecond": rate(count, unparse),
}))
`;
