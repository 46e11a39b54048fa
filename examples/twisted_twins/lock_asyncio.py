"""lock.py with asyncio: `Lock` as a context manager."""

import asyncio


async def main():
    lock = asyncio.Lock()

    async def save(name):
        async with lock:
            print(f"{name} has the lock")
            await asyncio.sleep(0.01)
            print(f"{name} is done")
            if name == "b":
                raise OSError("disk full")

    async def told(job):
        try:
            await job
        except asyncio.CancelledError as error:
            print(f"c left the line: {type(error).__name__}")
        except OSError as error:
            print(f"failed: {error}")

    print("all ask")
    saves = [asyncio.ensure_future(save(name)) for name in "abcd"]
    jobs = [asyncio.ensure_future(told(save)) for save in saves]
    await asyncio.sleep(0)
    saves[2].cancel()
    await jobs[2]
    print(f"{sum(not job.done() for job in jobs) - 1} wait")
    await asyncio.wait(jobs)
    print(f"locked: {str(lock.locked()).lower()}")


asyncio.run(main())
