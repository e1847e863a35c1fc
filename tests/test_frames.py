"""What a host says is told from all else that is printed there, however it arrives."""

from hypothesis import given
from hypothesis import strategies as st

from ec2lab.hosts.protocol import MOST_NOISE, Frame, Frames, Opening

MARKER = "ec2-lab-0123"
NOISE = st.binary(max_size=60).filter(lambda noise: MARKER.encode() not in noise)
LOOKS_ALIKE = st.sampled_from(
    [b"", b"ec2-lab-", b"ec2-lab-01", MARKER.encode() + b" out x\n                    ", b"\n{"]
)
CONTENT = st.binary(max_size=60) | st.just(f"{MARKER} end 0\n".encode())
FRAMES = st.one_of(
    st.builds(Frame, st.sampled_from(["ready", "beat", "end", "left"]), st.integers(0, 255)),
    st.builds(lambda kind, content: Frame(kind, len(content), content), st.sampled_from(["out", "err"]), CONTENT),
)


def written(frame):
    """A frame as a host writes it."""
    return f"{MARKER} {frame.kind} {frame.number}\n".encode() + frame.content


def apart(text, cuts):
    """What is made of a text that arrives in pieces."""
    taken, frames = Frames(MARKER), []
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        frames += taken.feed(text[begin:end])
    return frames, taken.noise


@given(st.lists(st.tuples(NOISE, LOOKS_ALIKE, FRAMES), max_size=6), NOISE, st.data())
def test_frames_are_taken_whole_out_of_any_noise_and_any_pieces(parts, last, data):
    text = b"".join(noise + alike + written(frame) for noise, alike, frame in parts) + last
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8).map(sorted))
    frames, noise = apart(text, cuts)
    assert frames == [frame for _, _, frame in parts]
    assert noise == b"".join(noise + alike for noise, alike, _ in parts) + last


def test_of_noise_the_end_is_remembered_alone():
    frames, noise = apart(b"x" * 10**6 + b"y" * MOST_NOISE, [5, 10**6])
    assert (frames, noise) == ([], b"y" * MOST_NOISE)


def test_an_opening_that_is_only_repeated_says_nothing():
    opening = Opening("print(1)")
    assert opening.marker not in opening.line.decode()
    assert opening.line.count(b"\n") == 1
