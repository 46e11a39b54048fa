"""list.py with asyncio: `gather` knows no index, and for the first value there is `wait`."""

import asyncio


async def fetch(page, delay):
    await asyncio.sleep(delay)
    print(f"{page} answers")
    if page == "lost":
        raise OSError(f"no page {page}")
    return page.upper()


async def main():
    print("all of them")
    pages = fetch("home", 0.02), fetch("lost", 0.01), fetch("news", 0.03)
    for number, result in enumerate(await asyncio.gather(*pages, return_exceptions=True)):
        print(f"{number}: error: {result}" if isinstance(result, Exception) else f"{number}: {result}")

    print("the first error")
    pages = [asyncio.ensure_future(fetch("home", 0.02)), asyncio.ensure_future(fetch("lost", 0.01))]
    try:
        await asyncio.gather(*pages)
    except OSError as error:
        index = [page.done() for page in pages].index(True)
        print(f"member {index}: {error}")
    print(f"{await pages[0]} ran on")

    print("the first value")
    pages = [asyncio.ensure_future(fetch("slow", 60)), asyncio.ensure_future(fetch("mirror", 0.01))]
    done, pending = await asyncio.wait(pages, return_when=asyncio.FIRST_COMPLETED)
    for page in pending:
        page.cancel()
    winner = done.pop()
    print(f"member {pages.index(winner)}: {winner.result()}")


asyncio.run(main())
