"""cancel.py with asyncio: a task is cancelled by an exception at its `await`."""

import asyncio


async def download():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("download: stop the work")
        print("page: cancelled")
        raise


async def story():
    try:
        await download()
    except asyncio.CancelledError:
        print("story: cancelled")
        print("story: done without it")


async def answer(future):
    try:
        await future
    except asyncio.CancelledError as error:
        print(f"answer: {type(error).__name__}")


async def half():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("page: half a page")


async def begun(work):
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


async def main():
    task = await begun(story())
    print("cancel while it waits")
    task.cancel()
    await task

    future = asyncio.get_running_loop().create_future()
    task = await begun(answer(future))
    print("cancel what cannot be stopped")
    task.cancel()
    await task
    if not future.done():  # else it would raise InvalidStateError
        future.set_result("late")
    print("the late answer is swallowed")

    task = await begun(half())
    print("cancel what has something")
    task.cancel()
    await task

    future = asyncio.get_running_loop().create_future()
    future.set_result("a page")
    print(f"has {await future}")
    print("cancel what is done")
    future.cancel()


asyncio.run(main())
