"""A small real HTTP server that speaks OpenAI's API and fails on purpose.

    python fault_server.py --port 0 --faults 0.2 --stall 2

Prints `port N` when it listens. Whether and how an attempt fails depends on the request's seed and the number of the attempt alone, so
runs repeat. GET /count tells how often each seed was answered well and how often each fault struck.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections import Counter
from typing import Any

FAULTS = (
    "429",
    "429-after",
    "429-date",
    "500",
    "503",
    "drop",
    "half-json",
    "no-choice",
    "two-choices",
    "empty",
    "stall",
    "html",
)

answered: Counter[str] = Counter()
attempts: Counter[str] = Counter()
struck: Counter[str] = Counter()
flying = 0
most_flying = 0
last: dict[str, Any] = {}
"""The latest request."""


def share(*parts: object) -> float:
    return int(hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=6).hexdigest(), 16) / 2**48


def good(seed: str, chat: bool) -> dict[str, Any]:
    text = f"the answer to {seed} is {int(share(seed) * 1000)}"
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if share(seed, "cut") < 0.1 else "stop"}
    choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    usage = {"prompt_tokens": 20, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 16}}
    return {"object": "chat.completion" if chat else "text_completion", "choices": [choice], "usage": usage}


def echoed(prompt: list[int]) -> dict[str, Any]:
    """What /completions answers with `echo` and `logprobs`: a log-probability for each token but the first, and for the one generated."""
    values = [None, *(-(token % 8) / 8 for token in prompt[1:]), -99.0]
    return {"object": "text_completion", "choices": [{"index": 0, "text": "", "logprobs": {"token_logprobs": values}}]}


class Server:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        global flying, most_flying
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, _ = head.split(" ", 2)
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if method == "GET" and path.endswith("/models"):
            if self.args.key and headers.get("authorization") != f"Bearer {self.args.key}":
                return self.send(writer, 401, {"error": {"message": f"bad key {headers.get('authorization')}"}})
            return self.send(writer, 200, {"data": [{"id": "faulty", "owned_by": self.args.owner}]})
        if method == "GET" and path == "/health":
            return self.send(writer, 200, {})
        if method == "GET" and path == "/count":
            return self.send(
                writer,
                200,
                {
                    "answered": answered,
                    "struck": struck,
                    "attempts": sum(attempts.values()),
                    "flying": most_flying,
                    "last": last,
                },
            )
        flying += 1
        most_flying = max(flying, most_flying)
        try:
            return await self.complete(path, headers, json.loads(body), writer)
        finally:
            flying -= 1

    async def complete(
        self, path: str, headers: dict[str, str], request: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        last.clear()
        last.update(request)
        seed = str(request.get("seed", request.get("prompt")))
        attempts[seed] += 1
        chat = "chat" in path
        if self.args.capacity and flying > self.args.capacity:
            struck["overload"] += 1
            return self.send(writer, 429, {"error": {"message": "too many"}}, "Retry-After: 0.05\r\n")
        await asyncio.sleep(self.args.seconds)
        if self.args.refuse and share(seed, "refuse") < self.args.refuse:
            return self.send(
                writer,
                400,
                {"error": {"message": f"maximum context length is 128 tokens {headers.get('authorization')}"}},
            )
        fault = ""
        if share(seed, attempts[seed], "fault") < self.args.faults:
            fault = FAULTS[int(share(seed, attempts[seed], "kind") * len(FAULTS))]
            struck[fault] += 1
        if fault == "429":
            return self.send(writer, 429, {"error": {"message": "slow down"}})
        if fault == "429-after":
            return self.send(writer, 429, {"error": {"message": "slow down"}}, "Retry-After: 0.2\r\n")
        if fault == "429-date":
            return self.send(
                writer, 429, {"error": {"message": "slow down"}}, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
            )
        if fault in ("500", "503"):
            return self.send(writer, int(fault), {"error": {"message": f"boom {headers.get('authorization', '')}"}})
        if fault == "drop":
            writer.transport.abort()
            return False
        if fault == "stall":
            await asyncio.sleep(self.args.stall)
        answer = echoed(request["prompt"]) if request.get("echo") else good(seed, chat)
        if fault == "half-json":
            half = json.dumps(answer).encode()[:60]
            return self.send_bytes(writer, 200, half)
        if fault == "html":
            return self.send_bytes(writer, 502, b"<html>bad gateway</html>")
        if fault == "no-choice":
            return self.send(writer, 200, {**answer, "choices": []})
        if fault == "two-choices":
            return self.send(writer, 200, {**answer, "choices": answer["choices"] * 2})
        if fault == "empty":
            answer["choices"][0] |= {"message": {"content": None}} if chat else {"text": ""}
            return self.send(writer, 200, answer)
        answered[seed] += 1
        if self.args.die and sum(answered.values()) >= self.args.die:
            import os

            os._exit(9)
        return self.send(writer, 200, answer)

    def send(self, writer: asyncio.StreamWriter, status: int, value: Any, extra: str = "") -> bool:
        return self.send_bytes(writer, status, json.dumps(value).encode(), extra)

    def send_bytes(self, writer: asyncio.StreamWriter, status: int, body: bytes, extra: str = "") -> bool:
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\n{extra}\r\n".encode()
            + body
        )
        return True


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--refuse", type=float, default=0.0)
    parser.add_argument("--stall", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=0.0, help="how long an answer takes")
    parser.add_argument("--capacity", type=int, default=0, help="answer 429 beyond so many requests at once")
    parser.add_argument("--die", type=int, default=0, help="exit, without a word, at this answer")
    parser.add_argument("--key", default="")
    parser.add_argument("--owner", default="test")
    args = parser.parse_args()
    server = await asyncio.start_server(Server(args).client, "127.0.0.1", args.port, limit=1 << 22, backlog=512)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
