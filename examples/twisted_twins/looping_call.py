"""A function that is called again and again, until it is stopped or fails."""

from twisted.internet import defer, task


@task.react
@defer.inlineCallbacks
def main(reactor):
    ticks = iter(range(100))

    def tick():
        number = next(ticks)
        print(f"tick {number}")
        if number == 2:
            loop.stop()

    loop = task.LoopingCall(tick)
    done = loop.start(0.01)
    print("started")
    yield done
    print("stopped")

    def write():
        number = next(ticks)
        print(f"write {number}")
        if number == 4:
            raise OSError("disk full")

    try:
        yield task.LoopingCall(write).start(0.01, now=False)
    except OSError as error:
        print(f"ended: {error}")

    # The next call waits for the Deferred of this one.
    def slow():
        number = next(ticks)
        print(f"begin {number}")
        if number == 6:
            patient.stop()
        return task.deferLater(reactor, 0.02, print, f"end {number}")

    patient = task.LoopingCall(slow)
    yield patient.start(0.005)
    print("stopped after the last one")
