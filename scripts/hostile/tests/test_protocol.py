# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Messages and rings against themselves; the core crate judges them in test_lies.py."""

import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import frames
from protocol import (
    NO_ID,
    PACKET,
    PAGE,
    POOL_ADD,
    POOL_ANSWER,
    POOL_DROP,
    SET_MAX_PACKETS,
    WAY_STAGED,
    Unexpected,
    finish,
    packet,
    pad,
    parse,
    pool_add,
    pool_answer,
    pool_drop,
    set_max_packets,
    set_moderation,
    staged,
)
from ring import Consumer, Control, Full, Producer, bytes_of, reached


class Messages(unittest.TestCase):
    """Builders and parser."""

    def test_layout(self):
        """Messages are the bytes that the protocol says."""
        self.assertEqual(set_max_packets(64, 65535).hex(), "0100100040000000ffff000000000000")
        self.assertEqual(pad(24).hex(), "ff00180000000000")
        self.assertEqual(finish([(5, 1)]).hex(), "0300100001000000" + "05000100" + "00000000")
        granted = packet(b"ab", [(9, 16, 60)], ident=7, flags=1, csum_start=34, csum_offset=16, gso_type=1, gso_size=20)
        head = "02013000" + "07000201" + "3e000000" + "02000100" + "1400220010000000" + "00" * 8
        self.assertEqual(granted.hex(), head + "0900000010003c00" + "6162" + "00" * 6)

    def test_moderation(self):
        """SET_MODERATION is the bytes that the protocol says, and is parsed to the same."""
        octets = set_moderation(adaptive=2, number=7, packet_usecs=50, packet_frames=64, completion_usecs=9, completion_frames=8)
        self.assertEqual(octets.hex(), "04001800" + "00020700" + "32000000" + "40000000" + "09000000" + "08000000")
        self.assertEqual((parse(octets).number, parse(octets).moderation), (7, (50, 64, 9, 8)))

    def test_round_trip(self):
        """What is built is parsed to the same."""
        message = parse(packet(b"x" * 50, [(9, 16, 60), (10, 0, 4096)], ident=7))
        self.assertEqual((message.kind, message.ident, message.way, message.length), (PACKET, 7, 2, 4206))
        self.assertEqual(message.fragments, [(9, 16, 60), (10, 0, 4096)])
        self.assertEqual(message.inline, b"x" * 50)
        self.assertEqual(parse(finish([(1, 0), (2, 3), (255, 1)])).entries, [(1, 0), (2, 3), (255, 1)])
        message = parse(set_max_packets(3, 70000))
        self.assertEqual((message.kind, message.max_packets, message.max_bytes), (SET_MAX_PACKETS, 3, 70000))

    def test_pool(self):
        """Messages about chunks, and packets in slots."""
        self.assertEqual(pool_add(3, range(8, 40)).hex()[:32], "05008800" + "03000000" + "08000000" + "09000000")
        self.assertEqual(len(pool_add(3, range(8, 40))), 136)
        self.assertEqual(pool_drop(31).hex(), "060008001f000000")
        self.assertEqual(pool_answer(5, 3).hex(), "0700080005030000")
        message = parse(pool_add(31, range(100, 132)))
        self.assertEqual((message.kind, message.chunk, message.references), (POOL_ADD, 31, list(range(100, 132))))
        message = parse(pool_answer(7, 2))
        self.assertEqual((message.kind, message.chunk, message.answer), (POOL_ANSWER, 7, 2))
        self.assertEqual(parse(pool_drop(7)).kind, POOL_DROP)
        message = parse(staged([(1023, 16, 60)], inline=b"ab"))
        self.assertEqual((message.way, message.ident, message.length), (WAY_STAGED, NO_ID, 62))
        self.assertEqual(message.fragments, [(1023, 16, 60)])

    def test_lies_are_noticed(self):
        """The parser does not take a message that does not add up."""
        pools = (pool_add(32, range(100, 132)), pool_drop(1, answer=1), pool_answer(1, 0, reserved=1), pool_answer(1, 0, flags=1))
        others = (finish([(1, 0)], count=9), packet(b"x" * 60, inline_length=600), b"\x08" + bytes(15), b"\x02")
        for octets in (*pools, *others):
            with self.assertRaises(Unexpected):
                parse(octets)


class Rings(unittest.TestCase):
    """Both ends over the same memory."""

    def test_stream(self):
        """Messages of all sizes come out as they went in, around the ring many times and over the wrap of 2^32."""
        choice = random.Random(1)
        for start in (0, (1 << 32) - 40000):
            control, memory = Control(bytearray(PAGE)), bytearray(bytes_of(2))
            producer, consumer = Producer(control, "tx", memory), Consumer(control, "tx", memory)
            producer.produced = producer.published = producer.consumed = start
            consumer.consumed = consumer.released = start
            for word in ("prod", "cons"):
                control.store("tx", word, start)
            sent, received = [], []
            while len(received) < 2000:
                for _ in range(choice.randrange(8)):
                    frame = choice.randbytes(choice.randrange(14, 2049))
                    try:
                        producer.put(packet(frame))
                    except Full:
                        break
                    sent.append(frame)
                producer.publish()
                for _ in range(choice.randrange(8)):
                    message = consumer.next()
                    if message is None:
                        break
                    self.assertEqual(message.kind, PACKET)
                    received.append(message.inline)
                consumer.publish()
            self.assertEqual(received, sent[: len(received)])

    def test_events(self):
        """An event is wanted once for each index that was asked for."""
        self.assertTrue(reached(1, 0, 16))
        self.assertFalse(reached(0, 0, 16))
        self.assertFalse(reached(17, 0, 16))
        self.assertTrue(reached(3, (1 << 32) - 8, 8))

    def test_wrong_index(self):
        """A producer index that cannot be is a finding."""
        for index in (4, bytes_of(2) + 8):
            control = Control(bytearray(PAGE))
            control.store("rx", "prod", index)
            with self.assertRaises(Unexpected):
                Consumer(control, "rx", bytearray(bytes_of(2))).next()


class Frames(unittest.TestCase):
    """The small host."""

    def test_two_hosts(self):
        """Two of them find and ping each other."""
        one = frames.Host(b"\2\0\0\0\0\1", "10.0.0.1", "10.0.0.2")
        two = frames.Host(b"\2\0\0\0\0\2", "10.0.0.2", "10.0.0.1")
        one.take(two.take(one.who_has()))
        self.assertEqual(one.peer_mac, two.mac)
        for size in (0, 56, 900):
            question = one.ping(size, size)
            answer = two.take(question)
            self.assertIsNone(one.take(answer))
            self.assertIn(size, one.answered)
            self.assertEqual(frames.checksum(answer[14:34]), 0)
            self.assertEqual(frames.checksum(answer[34 : 34 + 8 + size]), 0)

    def test_rubbish(self):
        """Frames that are cut short are not answered."""
        host = frames.Host(b"\2\0\0\0\0\1", "10.0.0.1", "10.0.0.2")
        host.peer_mac = b"\2\0\0\0\0\2"
        for frame in (b"", host.who_has()[:20], host.ping(1, 56)[:40]):
            self.assertIsNone(host.take(frame))


if __name__ == "__main__":
    unittest.main()
