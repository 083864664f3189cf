"""COM2 frames: whole in any pieces, and never believed when they do not check."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khoros.diskutil.launch.frames import BadFrame, Decoder, encode

frames = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([b"e", b"b"]), st.binary(max_size=60)),
        st.tuples(st.just(b"x"), st.binary(min_size=1, max_size=1)),
    ),
    max_size=6,
)


@given(frames, st.data())
def test_frames_come_whole_out_of_pieces_of_any_size(sent, data):
    stream = b"".join(encode(kind, payload) for kind, payload in sent)
    decoder = Decoder()
    received = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    assert received == sent
    assert decoder.pending_bytes == 0


@given(st.binary(min_size=1, max_size=40), st.data())
def test_one_flipped_bit_is_never_a_frame(payload, data):
    stream = bytearray(encode(b"e", payload))
    bit = data.draw(st.integers(0, len(stream) * 8 - 1))
    stream[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(BadFrame):
        assert Decoder().feed(bytes(stream)) == []


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"hello", "bad frame on COM2 at byte 0: magic: expected 4b46, found 6865"),
        (encode(b"e", b"hi") + b"Kx", "at byte 13: magic: expected 4b46, found 4b78"),
        (b"KFz\0\0\0\0", "type: expected e, b or x, found 'z'"),
        (b"KFe\xff\xff\xff\xff", "length: expected at most 16777216, found 4294967295"),
        (encode(b"x", b""), "length of a status: expected 1, found 0"),
        (encode(b"x", b"\0")[:-1] + b"\0", "CRC32C: expected 0x"),
    ],
)
def test_a_bad_frame_is_said_with_place_expected_and_found(stream, message):
    with pytest.raises(BadFrame) as caught:
        Decoder().feed(stream)
    assert message in str(caught.value)


def test_the_known_frame_of_a_zero_status():
    assert encode(b"x", b"\0") == bytes.fromhex("4b467801000000") + b"\0" + encode(b"x", b"\0")[-4:]
    assert Decoder().feed(encode(b"x", b"\0")) == [(b"x", b"\0")]
