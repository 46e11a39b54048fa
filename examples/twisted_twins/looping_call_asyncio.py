"""looping_call.py with asyncio, which has no looping call: a task that sleeps. It drifts, where the twins do not."""

import asyncio


async def main():
    number = 0

    async def ticks():
        nonlocal number
        while True:
            print(f"tick {number}")
            if number == 2:
                break
            if number == 0:
                print("started")
            number += 1
            await asyncio.sleep(0.01)

    await ticks()
    print("stopped")

    async def writes():
        nonlocal number
        while True:
            await asyncio.sleep(0.01)
            number += 1
            print(f"write {number}")
            if number == 4:
                raise OSError("disk full")

    try:
        await writes()
    except OSError as error:
        print(f"ended: {error}")

    for number in [5, 6]:
        print(f"begin {number}")
        await asyncio.sleep(0.02)
        print(f"end {number}")
    print("stopped after the last one")


asyncio.run(main())
