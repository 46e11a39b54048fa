"""A result that must come in time."""

from twisted.internet import defer, task


def poem(reactor, delay):
    return task.deferLater(reactor, delay, lambda: "a poem")


@task.react
@defer.inlineCallbacks
def main(reactor):
    text = yield poem(reactor, 0.01).addTimeout(60, reactor)
    print(f"in time: {text}")

    slow = poem(reactor, 60)
    slow.addErrback(lambda failure: print(f"before it: {failure.type.__name__}") or failure)
    slow.addTimeout(0.02, reactor)
    try:
        yield slow
    except defer.TimeoutError:
        print("after it: TimeoutError")

    text = yield poem(reactor, 60).addTimeout(0.02, reactor, onTimeoutCancel=lambda *_: "an old poem")
    print(f"instead: {text}")

    # Only the time-out's own cancel is translated.
    stopped = poem(reactor, 60).addTimeout(60, reactor)
    stopped.cancel()
    try:
        yield stopped
    except defer.CancelledError:
        print("stopped by hand: CancelledError")
