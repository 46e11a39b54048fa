"""time_out.py with asyncio: `wait_for`."""

import asyncio


async def poem(delay):
    await asyncio.sleep(delay)
    return "a poem"


async def told(work):
    try:
        return await work
    except asyncio.CancelledError as error:
        print(f"before it: {type(error).__name__}")
        raise


async def main():
    print(f"in time: {await asyncio.wait_for(poem(0.01), 60)}")
    try:
        await asyncio.wait_for(told(poem(60)), 0.02)
    except asyncio.TimeoutError:
        print("after it: TimeoutError")
    try:
        text = await asyncio.wait_for(poem(60), 0.02)
    except asyncio.TimeoutError:
        text = "an old poem"
    print(f"instead: {text}")
    stopped = asyncio.ensure_future(asyncio.wait_for(poem(60), 60))
    await asyncio.sleep(0)
    stopped.cancel()
    try:
        await stopped
    except asyncio.CancelledError:
        print("stopped by hand: CancelledError")


asyncio.run(main())
