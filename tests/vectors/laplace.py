#!/usr/bin/env python3
"""Discrete Laplace noise, written a second time from PROTOCOL.md "Noise streams", with unbounded integers and fractions.

    laplace.py            print tests/vectors/laplace_draws.h
    laplace.py --check F  exit 1 unless F is what would be printed
"""
import hashlib
import hmac
import struct
import sys
from fractions import Fraction
from math import floor

# (seed byte, step, measure, group, numerator, denominator): scales below one, whole, fractional, unreduced, huge.
CASES = [
    (0x00, 0, 0, 0, 1, 1),
    (0x01, 1, 2, 3, 1, 2),
    (0x02, 0, 1, 0xFFFFFFFF, 10, 1),
    (0x03, 7, 0, 65536, 22, 7),
    (0x04, 0xFFFFFFFF, 3, 9, 600, 42),
    (0x05, 2, 2, 2, 1, 1000003),
    (0x06, 1, 0, 5, 123456789012, 97),
    (0xFF, 3, 1, 4, 2**56, 3),
]
DRAWS = 64


def rotate(x, n):
    return ((x << n) | (x >> (32 - n))) & 0xFFFFFFFF


def quarter(s, a, b, c, d):
    s[a] = (s[a] + s[b]) & 0xFFFFFFFF
    s[d] = rotate(s[d] ^ s[a], 16)
    s[c] = (s[c] + s[d]) & 0xFFFFFFFF
    s[b] = rotate(s[b] ^ s[c], 12)
    s[a] = (s[a] + s[b]) & 0xFFFFFFFF
    s[d] = rotate(s[d] ^ s[a], 8)
    s[c] = (s[c] + s[d]) & 0xFFFFFFFF
    s[b] = rotate(s[b] ^ s[c], 7)


def chacha20_block(key, counter):
    start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key)) + [counter, 0, 0, 0]
    s = start[:]
    for _ in range(10):
        for column in range(4):
            quarter(s, column, column + 4, column + 8, column + 12)
        for diagonal in range(4):
            quarter(s, diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return struct.pack("<16I", *((x + y) & 0xFFFFFFFF for x, y in zip(s, start)))


def hkdf_sha256(length, salt, key, info):
    secret = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    out = block = b""
    index = 1
    while len(out) < length:
        block = hmac.new(secret, block + info + bytes([index]), hashlib.sha256).digest()
        out += block
        index += 1
    return out[:length]


def cell_key(seed, step, measure, group):
    return hkdf_sha256(32, b"", seed, b"perigee/noise-cell/v1" + struct.pack(">3I", step, measure, group))


class Stream:
    def __init__(self, key):
        self.key, self.counter, self.left = key, 0, b""

    def u64(self):
        if not self.left:
            self.left = chacha20_block(self.key, self.counter)
            self.counter += 1
        value = int.from_bytes(self.left[:8], "little")
        self.left = self.left[8:]
        return value

    def uniform(self, n):
        if n == 1:
            return 0
        bound = 2**64 // n * n
        while True:
            draw = self.u64()
            if draw < bound:
                return draw % n

    def coin(self, p):
        """True with probability p, from one uniform over its denominator as given (a pair: no reduction)."""
        return self.uniform(p[1]) < p[0]

    def exp_minus(self, a, b):
        k = 1
        while self.coin((a, b)) and self.coin((1, k)):
            k += 1
        return k % 2 == 1

    def laplace(self, scale):
        t = scale.numerator
        while True:
            u = self.uniform(t)
            if not self.exp_minus(u, t):
                continue
            v = 0
            while self.exp_minus(1, 1):
                v += 1
            y = floor(Fraction(u + t * v) / scale.denominator)
            negative = self.uniform(2) == 1
            if negative and y == 0:
                continue
            return -y if negative else y


def self_check():
    """RFC 8439 A.1 vector 1, RFC 5869 test case 3."""
    assert chacha20_block(bytes(32), 0).hex().startswith("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
    assert hkdf_sha256(42, b"", b"\x0b" * 22, b"").hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")


def render():
    out = ["/* Written by laplace.py, the second implementation of PROTOCOL.md \"Noise streams\". Do not edit. */",
           "/* clang-format off */",
           "#ifndef PERIGEE_TESTS_VECTORS_LAPLACE_DRAWS_H",
           "#define PERIGEE_TESTS_VECTORS_LAPLACE_DRAWS_H",
           "",
           "#include <stdint.h>",
           "",
           "struct laplace_case {",
           "    uint8_t seed_byte; /* the seed is 32 of these */",
           "    uint32_t step, measure, group;",
           "    uint64_t scale_num, scale_den;",
           "    uint8_t key[32];",
           "    int64_t draws[%d];" % DRAWS,
           "    uint64_t after; /* the stream's next u64: exactly as many bytes were consumed */",
           "};",
           "static const struct laplace_case laplace_cases[] = {"]
    for seed_byte, step, measure, group, num, den in CASES:
        key = cell_key(bytes([seed_byte]) * 32, step, measure, group)
        stream = Stream(key)
        scale = Fraction(num, den)
        draws = [stream.laplace(scale) for _ in range(DRAWS)]
        out.append("    {0x%02x, %du, %du, %du, %du, %du," % (seed_byte, step, measure, group, num, den))
        out.append("     {" + ", ".join("0x%02x" % byte for byte in key) + "},")
        out.append("     {")
        for row in range(0, DRAWS, 8):
            out.append("      " + ", ".join(str(d) for d in draws[row:row + 8]) + ",")
        out.append("     },")
        out.append("     UINT64_C(0x%016x)}," % stream.u64())
    out += ["};", "", "#endif"]
    return "\n".join(out) + "\n"


def main():
    self_check()
    text = render()
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        with open(sys.argv[2], encoding="ascii") as f:
            if f.read() != text:
                sys.exit("laplace.py: %s is not what this program computes" % sys.argv[2])
        return
    sys.stdout.write(text)


main()
