"""A JPEG's quantised coefficients, read bit by bit after the flow charts of ITU-T T.81.

Slow, short, and sharing nothing with the reader that it is there to check.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ZIGZAG = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
]  # fmt: skip


@dataclass
class Plane:
    """One component. blocks: (rows, columns, 8, 8), only those that the picture touches. table: (8, 8)."""

    horizontal: int
    vertical: int
    blocks: Array
    table: Array


class _Bits:
    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position, self.held, self.count = data, position, 0, 0

    def bit(self) -> int:
        if not self.count:
            byte = self.data[self.position]
            self.position += 2 if byte == 0xFF else 1  # the zero after it is stuffing
            self.held, self.count = byte, 8
        self.count -= 1
        return self.held >> self.count & 1

    def number(self, size: int) -> int:
        value = 0
        for _ in range(size):
            value = value << 1 | self.bit()
        return value

    def signed(self, size: int) -> int:
        value = self.number(size)
        return value if not size or value >> (size - 1) else value - (1 << size) + 1

    def symbol(self, codes: dict[tuple[int, int], int]) -> int:
        value = 0
        for length in range(1, 17):
            value = value << 1 | self.bit()
            if (length, value) in codes:
                return codes[length, value]
        raise AssertionError("no such code word")

    def restart(self) -> None:
        self.count = 0
        assert self.data[self.position] == 0xFF
        assert 0xD0 <= self.data[self.position + 1] <= 0xD7
        self.position += 2


class _File:
    def __init__(self, data: bytes) -> None:
        self.data, self.tables, self.codes, self.interval = data, {}, {}, 0
        self.process, self.planes, self.identifiers, self.table_of = 0, [], [], []

    def read(self) -> list[Plane]:
        position = 2
        while True:
            assert self.data[position] == 0xFF, hex(position)
            code = self.data[position + 1]
            if code == 0xD9:
                assert position + 2 == len(self.data), "nothing follows the end"
                break
            length = int.from_bytes(self.data[position + 2 : position + 4], "big")
            body = self.data[position + 4 : position + 2 + length]
            position += 2 + length
            if code == 0xDB:
                self._quantisation(body)
            elif code == 0xC4:
                self._huffman(body)
            elif code in (0xC0, 0xC1, 0xC2):
                self._frame(code, body)
            elif code == 0xDD:
                self.interval = int.from_bytes(body, "big")
            elif code == 0xDA:
                position = self._scan(body, position)
        for plane, number in zip(self.planes, self.table_of, strict=True):
            plane.table = self.tables[number]
        return self._shown()

    def _quantisation(self, body: bytes) -> None:
        while body:
            size = 2 if body[0] >> 4 else 1
            values = np.zeros(64, int)
            values[ZIGZAG] = np.frombuffer(body[1 : 1 + 64 * size], ">u2" if size == 2 else "u1")
            self.tables[body[0] & 15] = values.reshape(8, 8)
            body = body[1 + 64 * size :]

    def _huffman(self, body: bytes) -> None:
        while body:
            codes, value, at = {}, 0, 17
            for length in range(1, 17):
                for _ in range(body[length]):
                    codes[length, value] = body[at]
                    value, at = value + 1, at + 1
                value <<= 1
            self.codes[body[0]] = codes
            body = body[at:]

    def _frame(self, code: int, body: bytes) -> None:
        self.process = code
        self.height, self.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        rows = [body[6 + 3 * each : 9 + 3 * each] for each in range(body[5])]
        self.widest, self.tallest = max(row[1] >> 4 for row in rows), max(row[1] & 15 for row in rows)
        wide, high = -(-self.width // (8 * self.widest)), -(-self.height // (8 * self.tallest))
        for identifier, factors, table in rows:
            shape = (high * (factors & 15), wide * (factors >> 4), 64)
            self.identifiers.append(identifier)
            self.table_of.append(table)
            self.planes.append(Plane(factors >> 4, factors & 15, np.zeros(shape, int), np.zeros((8, 8))))

    def _size(self, plane: Plane) -> tuple[int, int]:
        across = -(-self.width * plane.horizontal // self.widest)
        down = -(-self.height * plane.vertical // self.tallest)
        return -(-down // 8), -(-across // 8)

    def _shown(self) -> list[Plane]:
        for plane in self.planes:
            rows, columns = self._size(plane)
            blocks = np.zeros((*plane.blocks.shape[:2], 64), int)
            blocks[..., ZIGZAG] = plane.blocks
            plane.blocks = blocks[:rows, :columns].reshape(rows, columns, 8, 8)
        return self.planes

    def _order(self, chosen: list[int]) -> list[list[tuple[int, int, int]]]:
        """MCUs as lists of (component, row, column)."""
        if len(chosen) == 1:
            rows, columns = self._size(self.planes[chosen[0]])
            return [[(chosen[0], row, column)] for row in range(rows) for column in range(columns)]
        wide, high = -(-self.width // (8 * self.widest)), -(-self.height // (8 * self.tallest))
        return [
            [
                (number, row * self.planes[number].vertical + down, column * self.planes[number].horizontal + across)
                for number in chosen
                for down in range(self.planes[number].vertical)
                for across in range(self.planes[number].horizontal)
            ]
            for row in range(high)
            for column in range(wide)
        ]

    def _scan(self, body: bytes, position: int) -> int:
        chosen = [self.identifiers.index(body[1 + 2 * each]) for each in range(body[0])]
        which = {number: body[2 + 2 * each] for each, number in enumerate(chosen)}
        first, last, shift = body[1 + 2 * body[0] : 4 + 2 * body[0]]
        high, low = shift >> 4, shift & 15
        bits, ended, previous = _Bits(self.data, position), 0, dict.fromkeys(chosen, 0)
        for count, unit in enumerate(self._order(chosen)):
            if self.interval and count and count % self.interval == 0:
                bits.restart()
                ended, previous = 0, dict.fromkeys(chosen, 0)
            for number, row, column in unit:
                block = self.planes[number].blocks[row, column]
                if first == 0 and not high:
                    size = bits.symbol(self.codes[which[number] >> 4])
                    previous[number] += bits.signed(size)
                    block[0] = previous[number] << low
                elif first == 0:
                    block[0] |= bits.bit() << low
                if last == 0:
                    continue
                codes = self.codes[0x10 | which[number] & 15]
                ended = self._band(bits, codes, block, max(first, 1), last, low, ended, refining=bool(high))
        return bits.position

    def _band(
        self, bits: _Bits, codes: Any, block: Array, first: int, last: int, low: int, ended: int, *, refining: bool
    ) -> int:
        """One block's band; returns how many blocks after it are ended."""
        at = first
        while not ended and at <= last:
            run, size = divmod(bits.symbol(codes), 16)
            if not size and run < 15:
                ended = (1 << run) + (bits.number(run) if self.process == 0xC2 else 0)
                break
            value = (1 if bits.bit() else -1) if refining and size else bits.signed(size)
            while run or (refining and block[at]):
                if refining and block[at]:
                    self._correct(bits, block, at, low)
                else:
                    run -= 1
                at += 1
            if size:
                block[at] = value * (1 << low)
            at += 1
        if ended and refining:
            for rest in range(at, last + 1):
                if block[rest]:
                    self._correct(bits, block, rest, low)
        return ended - 1 if ended and self.process == 0xC2 else 0

    @staticmethod
    def _correct(bits: _Bits, block: Array, at: int, low: int) -> None:
        if bits.bit():
            block[at] += (1 << low) if block[at] > 0 else -(1 << low)


def planes(data: bytes) -> list[Plane]:
    """The components of a baseline or progressive file. Fails on anything after the end marker."""
    return _File(data).read()
