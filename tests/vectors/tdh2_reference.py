#!/usr/bin/env python3
"""The known answers of tests/vectors/tdh2_test.c, computed a second time.

Written from docs/PROTOCOL.md ("Envelope", "Threshold PRF"), RFC 9496, RFC 5869 and RFC 8439 in plain integers, with
nothing but Python's own hashes: it shares no code with what it checks. Every proof is verified too, by its equations.
Prints one "name hex" line per value; exits non-zero when a proof fails.
"""
import hashlib
import hmac
import itertools
import struct

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def negative(x):
    return x % P & 1


def absolute(x):
    return -x % P if negative(x) else x % P


def sqrt_ratio(u, v):
    """RFC 9496, section 4.2: (was square, root of u/v or of i u/v)."""
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    correct, flipped, flipped_i = check == u % P, check == -u % P, check == -u * SQRT_M1 % P
    if flipped or flipped_i:
        r = r * SQRT_M1 % P
    return correct or flipped, absolute(r)


INVSQRT_A_MINUS_D = sqrt_ratio(1, -1 - D)[1]
SQRT_AD_MINUS_ONE = sqrt_ratio(-D - 1, 1)[1]
if SQRT_AD_MINUS_ONE != 25063068953384623474111414158702152701244531502492656460079210482610430750235:
    SQRT_AD_MINUS_ONE = P - SQRT_AD_MINUS_ONE


class Point:
    """Affine Edwards coordinates, a = -1: slow and short."""

    def __init__(self, x, y):
        self.x, self.y = x % P, y % P

    def __add__(self, other):
        a, b = self.x * other.y, self.y * other.x
        k = D * a % P * b % P
        shared = pow(1 - k * k, -1, P)
        return Point((a + b) * (1 - k) * shared, (self.y * other.y + self.x * other.x) * (1 + k) * shared)

    def __neg__(self):
        return Point(-self.x, self.y)

    def __rmul__(self, scalar):
        total, power = Point(0, 1), self
        while scalar:
            if scalar & 1:
                total = total + power
            power, scalar = power + power, scalar >> 1
        return total

    def encode(self):
        """RFC 9496, section 4.3.2, with z = 1."""
        x, y, t = self.x, self.y, self.x * self.y % P
        u1, u2 = (1 + y) * (1 - y) % P, x * y % P
        inverse = sqrt_ratio(1, u1 * u2 * u2)[1]
        d1, d2 = inverse * u1 % P, inverse * u2 % P
        z_inverse = d1 * d2 * t % P
        den = d2
        if negative(t * z_inverse):
            x, y, den = y * SQRT_M1 % P, x * SQRT_M1 % P, d1 * INVSQRT_A_MINUS_D % P
        if negative(x * z_inverse):
            y = -y
        return absolute(den * (1 - y)).to_bytes(32, "little")


BASE_Y = 4 * pow(5, -1, P) % P
BASE = Point(sqrt_ratio(BASE_Y * BASE_Y - 1, D * BASE_Y * BASE_Y + 1)[1], BASE_Y)


def elligator(r0):
    """RFC 9496, section 4.3.4, MAP."""
    r = SQRT_M1 * r0 * r0 % P
    u = (r + 1) * (1 - D * D) % P
    v = (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    c = -1
    if not square:
        s, c = -absolute(s * r0) % P, r
    n = (c * (r - 1) * (D - 1) ** 2 - v) % P
    w0, w1, w2, w3 = 2 * s * v, n * SQRT_AD_MINUS_ONE, 1 - s * s, 1 + s * s
    z = pow(w1 * w3, -1, P)
    return Point(w0 * w3 * z, w2 * w1 * z)


def map_to_group(wide):
    halves = (int.from_bytes(wide[i:i + 32], "little") % 2**255 for i in (0, 32))
    first, second = map(elligator, halves)
    return first + second


def sha512(data):
    return hashlib.sha512(data).digest()


def reduce(wide):
    return int.from_bytes(wide, "little") % Q


def le(scalar):
    return scalar.to_bytes(32, "little")


def frame(*items):
    out = b""
    for item in items:
        item = item.encode() if isinstance(item, str) else struct.pack(">I", item) if isinstance(item, int) else item
        out += struct.pack(">I", len(item)) + item
    return out


def hkdf_sha256(salt, material, info):
    key = hmac.new(salt, material, "sha256").digest()
    return hmac.new(key, info + b"\x01", "sha256").digest()


def framed_hash(label, *items):
    tag = hashlib.sha256(label.encode()).digest()
    return hashlib.sha256(tag + tag + frame(*items)).digest()


def chacha20_block(key, counter, nonce):
    initial = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    initial += [counter] + list(struct.unpack("<3I", nonce))
    s = initial[:]
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = (s[x] + s[y]) & 0xffffffff
                s[z] ^= s[x]
                s[z] = (s[z] << turn | s[z] >> 32 - turn) & 0xffffffff
    return struct.pack("<16I", *((a + b) & 0xffffffff for a, b in zip(s, initial)))


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i:i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:32], "little")) % 2**128).to_bytes(16, "little")


def seal_aead(key, plain, associated):
    nonce = bytes(12)
    stream = b"".join(chacha20_block(key, 1 + i, nonce) for i in range((len(plain) + 63) // 64))
    sealed = bytes(a ^ b for a, b in zip(plain, stream))
    padded = b"".join(part + bytes(-len(part) % 16) for part in (associated, sealed))
    return sealed + poly1305(chacha20_block(key, 0, nonce)[:32],
                             padded + struct.pack("<QQ", len(associated), len(sealed)))


def dleq(context, a, g, d, x):
    points = (a.encode(), g.encode(), d.encode())
    nonce = reduce(sha512(frame("perigee/dleq/v1", "nonce", le(x)) + context + frame(*points)))
    e = reduce(sha512(context + frame(*points, (nonce * BASE).encode(), (nonce * g).encode())))
    f = (nonce + e * x) % Q
    w, w_base = f * BASE + -(e * a), f * g + -(e * d)
    assert e == reduce(sha512(context + frame(*points, w.encode(), w_base.encode()))), "proof does not verify"
    return le(e) + le(f)


def lagrange(indices):
    out = []
    for i in indices:
        value = 1
        for j in indices:
            if j != i:
                value = value * j * pow(j - i, -1, Q) % Q
        out.append(value)
    return out


def interpolate(indices, points):
    total = Point(0, 1)
    for weight, i in zip(lagrange(indices), indices):
        total = total + weight * points[i - 1]
    return total


def self_test():
    """RFC 9496, appendix A.1 (multiples of the base) and A.3 (the map); RFC 8439, sections 2.3.2 and 2.5.2."""
    assert BASE.encode().hex() == "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"
    assert (2 * BASE).encode().hex() == "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919"
    assert (Q * BASE).encode() == bytes(32)
    wide = sha512(b"Ristretto is traditionally a short shot of espresso coffee")
    assert map_to_group(wide).encode().hex() == "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46"
    block = chacha20_block(bytes(range(32)), 1, bytes.fromhex("000000090000004a00000000"))
    assert block.hex().startswith("10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e")
    assert poly1305(bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"),
                    b"Cryptographic Forum Research Group").hex() == "a8061dc1305136c6c22b8baf0c0127a9"


def known(name):
    return sha512(("perigee/kat/v1/" + name).encode())


def main():
    self_test()
    n, t = 5, 3
    coefficient = [reduce(known("coefficient/%d" % k)) for k in range(t)]
    secret = [sum(c * pow(i, k, Q) for k, c in enumerate(coefficient)) % Q for i in range(1, n + 1)]
    public = [x * BASE for x in secret]
    y = coefficient[0] * BASE
    key_id = framed_hash("perigee/group-key/v1", y.encode())
    label = b"\x00\x01" + key_id + b"".join(bytes([fill]) * 32 for fill in (0x22, 0x33, 0x44, 0x55, 0x66))
    print("y", y.encode().hex())
    for i in range(n):
        print("y_%d" % (i + 1), public[i].encode().hex())
    print("key_id", key_id.hex())
    print("label", label.hex())

    suite = "perigee/tdh2/v1"
    gamma = map_to_group(sha512(frame(suite, "gamma", y.encode())))
    r = reduce(known("entropy/0"))
    r_point, r_gamma = r * BASE, r * gamma
    wrap = hkdf_sha256(suite.encode(), (r * y).encode(), frame("wrap", y.encode(), r_point.encode(), label))
    wrapped = seal_aead(wrap, b"\x42" * 32, label)
    proof = dleq(frame(suite, "seal", y.encode(), wrapped, label), r_point, gamma, r_gamma, r)
    envelope = r_point.encode() + r_gamma.encode() + proof + wrapped
    print("envelope", envelope.hex())
    shares = [x * r_point for x in secret]
    for i in range(1, n + 1):
        context = frame(suite, "share", y.encode(), i, envelope, label)
        proof = dleq(context, public[i - 1], r_point, shares[i - 1], secret[i - 1])
        print("share_%d" % i, shares[i - 1].encode().hex() + proof.hex())

    suite, value = "perigee/prf/v1", b"\x77" * 32
    point = map_to_group(sha512(frame(suite, "point", y.encode(), value)))
    partial = [x * point for x in secret]
    for i in range(1, n + 1):
        context = frame(suite, "share", y.encode(), value, i)
        proof = dleq(context, public[i - 1], point, partial[i - 1], secret[i - 1])
        print("prf_share_%d" % i, partial[i - 1].encode().hex() + proof.hex())
    for indices in itertools.combinations(range(1, n + 1), t):
        assert interpolate(indices, shares).encode() == (r * y).encode()
        assert interpolate(indices, partial).encode() == (coefficient[0] * point).encode()
    print("prf", sha512(frame(suite, "output", y.encode(), value, (coefficient[0] * point).encode()))[:32].hex())


if __name__ == "__main__":
    main()
