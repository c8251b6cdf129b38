"""Frames as the world outside makes and reads them."""
import struct
import unittest

import frames

OWN, OTHER = (b"\x02" * 6, frames.address("10.0.0.100")), (b"\x04" * 6, frames.address("10.0.0.11"))


def correct(frame):
    """Whether the checksum of the IP header is right."""
    return frames.checksum(frames.add_words(frame[14:34])) == 0


def udp_sum(datagram):
    """What a whole datagram's checksum adds up to with its pseudo header: 0 if it is right."""
    pseudo = OWN[1] + OTHER[1] + struct.pack(">HH", frames.UDP, len(datagram))
    return frames.checksum(frames.add_words(pseudo) + frames.add_words(datagram))


class Frames(unittest.TestCase):
    def datagrams(self, size):
        return frames.Datagrams(OWN, OTHER, (5300, 5210), size)

    def test_a_small_datagram_is_one_frame(self):
        for size in (12, 64, 65, 1472):
            for number in (0, 1, 65535, 70000):
                frame, = self.datagrams(size).frames(number)
                self.assertEqual(len(frame), 42 + size)
                self.assertTrue(correct(frame))
                self.assertEqual(udp_sum(frame[34:]), 0)
                self.assertEqual(frames.FLOW_HEADER.unpack_from(frame, 42), (b"NC2S", number, size))

    def test_a_large_one_is_fragmented_and_comes_together_in_any_order(self):
        for size in (1473, 49152, 65507):
            made = self.datagrams(size).frames(3)
            self.assertEqual(len(made), self.datagrams(size).frames_each())
            self.assertTrue(all(correct(frame) and len(frame) <= 1514 for frame in made))
            reassembly = frames.Reassembly()
            for frame in made[1:]:
                self.assertIsNone(reassembly.add(frame))
            source, port, to, data = reassembly.add(made[0])
            self.assertEqual((source, port, to, len(data)), (OWN[1], 5300, 5210, size))
            self.assertEqual(udp_sum(b"".join(frame[34:] for frame in made)), 0)
            self.assertEqual(reassembly.parts, {})

    def test_a_datagram_lacks_room_for_its_number(self):
        with self.assertRaises(ValueError):
            self.datagrams(11)

    def test_words_of_a_driver(self):
        frame = frames.udp_frame(OWN, OTHER, (5300, 5301), b"NC2G\x01\0\0\0")
        self.assertTrue(correct(frame))
        self.assertEqual(udp_sum(frame[34:]), 0)
        self.assertEqual(frames.Reassembly().add(frame)[3], b"NC2G\x01\0\0\0")

    def test_padding_of_short_frames_is_not_payload(self):
        frame = frames.udp_frame(OWN, OTHER, (1, 2), b"abc") + bytes(15)
        self.assertEqual(frames.Reassembly().add(frame)[3], b"abc")

    def test_other_frames_are_not_datagrams(self):
        arp = frames.arp(frames.ARP_REQUEST, OWN[0], OWN[1], bytes(6), OTHER[1])
        self.assertEqual(arp[:6], frames.BROADCAST)
        self.assertIsNone(frames.Reassembly().add(arp))
        self.assertIsNone(frames.Reassembly().add(b""))


if __name__ == "__main__":
    unittest.main()
