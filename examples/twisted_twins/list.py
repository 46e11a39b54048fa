"""Many results at once: all of them, the first error, the first value."""

from twisted.internet import defer, task


def fetch(reactor, page, delay):
    def answer():
        print(f"{page} answers")
        if page == "lost":
            raise OSError(f"no page {page}")
        return page.upper()

    return task.deferLater(reactor, delay, answer)


@task.react
@defer.inlineCallbacks
def main(reactor):
    print("all of them")
    pages = [fetch(reactor, "home", 0.02), fetch(reactor, "lost", 0.01), fetch(reactor, "news", 0.03)]
    results = yield defer.DeferredList(pages, consumeErrors=True)
    for number, (ok, result) in enumerate(results):
        print(f"{number}: {result}" if ok else f"{number}: error: {result.getErrorMessage()}")

    print("the first error")
    home = fetch(reactor, "home", 0.02)
    try:
        yield defer.gatherResults([home, fetch(reactor, "lost", 0.01)], consumeErrors=True)
    except defer.FirstError as error:
        print(f"member {error.index}: {error.subFailure.getErrorMessage()}")
    home.addCallback(lambda page: print(f"{page} ran on"))
    yield home

    print("the first value")
    index, page = yield defer.race([fetch(reactor, "slow", 60), fetch(reactor, "mirror", 0.01)])
    print(f"member {index}: {page}")
