"""Evaluates ClassAd expressions with HTCondor's own library: one JSON object a line in, one out."""
import json
import os
import signal
import sys

import htcondor  # registers the functions HTCondor adds, and its evaluation semantics
import classad

# Some expressions take for ever; the timer then ends the worker, as a crash would.
CASE_CPU_SECONDS = 0.5

printer = classad.ClassAd()
printer["printed"] = classad.ExprTree("unparse(expr)")


def pretty(expr):
    printer["expr"] = expr
    return printer.eval("printed")


def evaluate(expr, my, target):
    return expr.simplify(my, target) if target is not None else expr.simplify(my)


def answer(case):
    try:
        if "old" in case:
            ad = classad.parseOne(case["old"], classad.Parser.Old)
            return {"old": ad.printOld(), "json": ad.printJson(), "new": repr(ad)}
        if "json" in case:
            return {"old": classad.ClassAd(case["json"]).printOld()}
        expr = classad.ExprTree(case["expr"])
        unparsed = pretty(expr)
        if case.get("parseOnly"):
            return {"unparsed": unparsed}
        my = classad.ClassAd(case.get("ad", "[]"))
        target = classad.ClassAd(case["target"]) if "target" in case else None
    except (classad.ClassAdParseError, SyntaxError):
        return {"refused": True}
    try:
        try:
            value = pretty(evaluate(expr, my, target))
            # A literal span cannot carry a fraction or a minus out of the library.
            wrapped = "string(splitTime(%s))" if value.startswith("relTime") else None
        except classad.ClassAdValueError:
            # A list or an ad, which this binding cannot hand out as it is.
            wrapped = "string(%s)"
        if wrapped is None:
            return {"unparsed": unparsed, "value": value}
        text = classad.ExprTree(wrapped % case["expr"])
        return {"unparsed": unparsed, "composite": pretty(evaluate(text, my, target))}
    except classad.ClassAdEvaluationError:
        return {"unparsed": unparsed, "value": "error"}


def work(requests, answers):
    for line in requests:
        signal.setitimer(signal.ITIMER_VIRTUAL, CASE_CPU_SECONDS)
        try:
            result = answer(json.loads(line))
        except Exception as problem:
            result = {"problem": type(problem).__name__ + ": " + str(problem)}
        answers.write(json.dumps(result) + "\n")
        answers.flush()


def start_worker():
    """A process of its own for the library, because some circular expressions overrun its stack."""
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    if os.fork() == 0:
        os.close(request_write)
        os.close(answer_read)
        work(os.fdopen(request_read), os.fdopen(answer_write, "w"))
        os._exit(0)
    os.close(request_read)
    os.close(answer_write)
    return os.fdopen(request_write, "w"), os.fdopen(answer_read)


requests, answers = start_worker()
for line in sys.stdin:
    requests.write(line)
    requests.flush()
    result = answers.readline()
    if not result:
        os.wait()
        requests, answers = start_worker()
        result = json.dumps({"crashed": True}) + "\n"
    sys.stdout.write(result)
    sys.stdout.flush()
