"""Which callback runs when, and which is passed by."""

from twisted.internet.defer import Deferred


def parse(text):
    print(f"parse {text}")
    if not text.isdigit():
        raise ValueError(f"{text} is no number")
    return int(text)


def double(number):
    print(f"double {number}")
    return number * 2


def handle(failure):
    print(f"handle: {failure.getErrorMessage()}")
    return -1


def show(number):
    print(f"show {number}")


def order():
    for text in ["21", "many"]:
        d = Deferred()
        d.addCallback(parse)
        d.addCallback(double)
        d.addErrback(handle)
        d.addCallback(show)
        print("fire")
        d.callback(text)
        print("fired")


def late():
    d = Deferred()
    d.callback("7")
    print("add to one that has fired")
    d.addCallback(parse)
    print("added")
    d.addCallback(show)


def pair():
    # The errback of a pair does not see what its own callback raises.
    d = Deferred()
    d.addCallbacks(parse, handle)
    d.addErrback(handle)
    d.addCallback(show)
    d.callback("none")


def pause():
    inner = Deferred()
    inner.addCallback(double)
    outer = Deferred()
    outer.addCallback(parse)
    outer.addCallback(lambda number: inner.addCallback(lambda other: number + other))
    outer.addCallback(show)
    outer.callback("1")
    print("outer waits")
    inner.callback(20)
    print("both are done")


def from_inside():
    # A callback that is added while another one runs has to wait for its turn.
    d = Deferred()

    def first(text):
        print("first begins")
        d.addCallback(show)
        print("first ends")
        return text

    d.addCallback(first)
    d.addCallback(parse)
    d.callback("5")


order()
late()
pair()
pause()
from_inside()
