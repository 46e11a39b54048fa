"""Who is asked when somebody cancels, and where the error goes."""

from twisted.internet.defer import CancelledError, Deferred


def stopped(failure, who):
    failure.trap(CancelledError)
    print(f"{who}: cancelled")
    return failure


def download():
    return Deferred(lambda d: print("download: stop the work"))


def innermost():
    # The outer one waits: the inner one is asked, and its error comes back along both chains.
    page = download()
    page.addErrback(stopped, "page")
    story = Deferred()
    story.addCallback(lambda _: page)
    story.addErrback(stopped, "story")
    story.addErrback(lambda failure: print("story: done without it"))
    story.callback("begin")
    print("cancel while it waits")
    story.cancel()


def late():
    # Nobody can stop this one. It fails at once, and what it comes up with later is swallowed.
    answer = Deferred()
    answer.addBoth(lambda result: print(f"answer: {result.type.__name__}"))
    print("cancel what cannot be stopped")
    answer.cancel()
    answer.callback("late")
    print("the late answer is swallowed")


def instead():
    # A canceller may come up with a result.
    page = Deferred(lambda d: d.callback("half a page"))
    page.addCallback(lambda text: print(f"page: {text}"))
    print("cancel what has something")
    page.cancel()


def too_late():
    d = download()
    d.addCallback(lambda text: print(f"has {text}"))
    d.callback("a page")
    print("cancel what is done")
    d.cancel()


innermost()
late()
instead()
too_late()
