"""Python's `websockets` and `aiohttp` as peers.

usage: python.py websockets|aiohttp client URL deflate|plain
       python.py websockets|aiohttp server deflate|plain
       python.py websockets|aiohttp goodbye URL

A line for each thing tried: `ok NAME` or `FAILED NAME: why`. The server speaks Autobahn's way of asking for cases, which
`ws_fuzz_client` knows: it sends the messages, and the client has to send them back. At `/` it meets `ws_client`, which says
`hello` and closes at `close`. `goodbye` is how `ws_server` answers and closes.
"""

import asyncio, signal, sys

import aiohttp
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

LARGE = bytes(range(256)) * 274 # 70,144 bytes
MESSAGES = [
    ("a text", "wie geht's, 你好 🧵"),
    ("an empty text", ""),
    ("70,144 bytes", LARGE),
    ("no bytes", b""),
    ("a text that gets small", "If I were a rope, " * 5000),
]
LIMIT = 20 # seconds for anything


def said(name, good, why=""):
    print(f"ok {name}" if good else f"FAILED {name}: {why}", flush=True)


def same(name, sent, got):
    said(name, type(sent) is type(got) and sent == got, f"{sent[:40]!r} came back as {got[:40]!r}, {len(got)}")


def goodbye(code, reason):
    said("a close with its reason", (code, reason) == (1000, "as you said"), (code, reason))


async def websockets_goodbye(url):
    async with asyncio.timeout(LIMIT), connect(url) as socket:
        await socket.send("hello")
        same("an answer", "hello/answer", await socket.recv())
        await socket.send("close")
        await socket.wait_closed()
        goodbye(socket.close_code, socket.close_reason)


async def websockets_client(url, deflate):
    async with asyncio.timeout(LIMIT), connect(url, compression="deflate" if deflate else None, max_size=None) as socket:
        names = [extension.name for extension in socket.protocol.extensions]
        said("the extension", names == (["permessage-deflate"] if deflate else []), names)
        for name, message in MESSAGES:
            await socket.send(message)
            same(name, message, await socket.recv())
        await socket.send(iter(["frag", "", "ment", "s"]))
        same("fragments", "fragments", await socket.recv())
        await (await socket.ping(b"are you there"))
        said("a pong", True)
        await socket.close(1000, "bye")
        said("the close", socket.close_code == 1000, socket.close_code)


async def websockets_server(deflate, ends):
    async def handle(socket):
        path = socket.request.path
        if path.startswith("/getCaseCount"):
            await socket.send("1")
        elif path.startswith("/runCase"):
            names = [extension.name for extension in socket.protocol.extensions]
            said("the extension", names == (["permessage-deflate"] if deflate else []), names)
            async with asyncio.timeout(LIMIT):
                for name, message in MESSAGES:
                    await socket.send(message)
                    same(name, message, await socket.recv())
                await socket.send(iter(["frag", "", "ment", "s"]))
                same("fragments", "fragments", await socket.recv())
                await (await socket.ping(b"are you there"))
                said("a pong", True)
                await socket.close(4001, "case over")
            close = socket.close_code, socket.close_reason
            said("the close", close[0] == 4001, close)
        elif path == "/":
            same("a greeting", "hello", await socket.recv())
            await socket.send("close")
            await socket.wait_closed()
            goodbye(socket.close_code, socket.close_reason)

    async with serve(handle, "127.0.0.1", 0, compression="deflate" if deflate else None, max_size=None) as server:
        print("ready", server.sockets[0].getsockname()[1], flush=True)
        await ends


async def aiohttp_talk(socket):
    """What either side of aiohttp does."""
    for name, message in MESSAGES:
        if isinstance(message, str):
            await socket.send_str(message)
        else:
            await socket.send_bytes(message)
        same(name, message, (await socket.receive(LIMIT)).data)
    await socket.ping(b"are you there")
    pong = await socket.receive(LIMIT)
    said("a pong", pong.type == aiohttp.WSMsgType.PONG and bytes(pong.data) == b"are you there", pong)


async def aiohttp_goodbye(url):
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_str("hello")
        same("an answer", "hello/answer", (await socket.receive(LIMIT)).data)
        await socket.send_str("close")
        close = await socket.receive(LIMIT)
        goodbye(close.data, close.extra)


async def aiohttp_client(url, deflate):
    async with aiohttp.ClientSession() as session:
        options = {"compress": 15 if deflate else 0, "max_msg_size": 0, "autoping": False}
        async with session.ws_connect(url, **options) as socket:
            said("the extension", bool(socket.compress) == deflate, socket.compress)
            await aiohttp_talk(socket)
            await socket.close(code=1000, message=b"bye")
            said("the close", socket.close_code == 1000, socket.close_code)


async def aiohttp_server(deflate, ends):
    async def count(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("1")
        await socket.close()
        return socket

    async def case(request):
        socket = web.WebSocketResponse(compress=deflate, max_msg_size=0, autoping=False)
        await socket.prepare(request)
        said("the extension", bool(socket.compress) == deflate, socket.compress)
        await aiohttp_talk(socket)
        await socket.close(code=4001, message=b"case over")
        said("the close", socket.close_code == 4001, socket.close_code)
        return socket

    async def reports(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    async def root(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        same("a greeting", "hello", (await socket.receive(LIMIT)).data)
        await socket.send_str("close")
        close = await socket.receive(LIMIT)
        goodbye(close.data, close.extra)
        return socket

    app = web.Application()
    handlers = {"/": root, "/getCaseCount": count, "/runCase": case, "/updateReports": reports}
    app.add_routes([web.get(path, handler) for path, handler in handlers.items()])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("ready", runner.addresses[0][1], flush=True)
    await ends
    await runner.cleanup()


async def main(who, role, *rest):
    if role == "goodbye":
        return await globals()[f"{who}_goodbye"](rest[0])
    deflate = rest[-1] == "deflate"
    if role == "client":
        return await globals()[f"{who}_client"](rest[0], deflate)
    ends = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ends.set_result, None)
    await globals()[f"{who}_server"](deflate, ends)


try:
    asyncio.run(main(*sys.argv[1:]))
except Exception as error:
    said("all of it", False, repr(error))
