"""One at a time, first come, first served."""

from twisted.internet import defer, task


@task.react
def main(reactor):
    lock = defer.DeferredLock()

    def save(name):
        print(f"{name} has the lock")
        d = task.deferLater(reactor, 0.01, lambda: None)

        def done(_):
            print(f"{name} is done")
            if name == "b":
                raise OSError("disk full")

        return d.addCallback(done)

    def failed(failure):
        print(f"failed: {failure.getErrorMessage()}")

    print("all ask")
    jobs = [lock.run(save, name) for name in "abcd"]
    jobs[1].addErrback(failed)
    jobs[2].addErrback(lambda failure: print(f"c left the line: {failure.type.__name__}"))
    jobs[2].cancel()
    print(f"{len(lock.waiting)} wait")
    return defer.DeferredList(jobs).addCallback(lambda _: print(f"locked: {str(bool(lock.locked)).lower()}"))
