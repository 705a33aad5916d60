from pathlib import Path

import numpy as np
import pytest

from bench.load import voice
from bench.load.voice import Turns, VoiceError
from codec.opus import Decoder, packet_samples
from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.support.sound import babble, lag_samples, write_wav


def test_a_voice_is_what_a_decoder_makes_of_its_payloads() -> None:
    spoken = voice.encode(babble(5, seed=1))
    decoder = Decoder()
    heard = b"".join(map(decoder.decode, spoken.payloads))
    assert heard == spoken.heard.tobytes()
    assert spoken.heard.shape == (250, FRAME_SAMPLES)


def test_a_wav_file_of_another_rate_is_said_at_its_own_speed(tmp_path: Path) -> None:
    pcm = babble(6, seed=2)
    write_wav(tmp_path / "24.wav", pcm)
    data = bytearray((tmp_path / "24.wav").read_bytes())
    data[24:28] = (SAMPLE_RATE_HZ * 2).to_bytes(4, "little")
    (tmp_path / "48.wav").write_bytes(data)
    read = voice.read_wav(tmp_path / "48.wav")
    assert len(read) == len(pcm) // 2
    assert abs(lag_samples(pcm[::2], read)) <= 1


@pytest.mark.parametrize("content", [b"", b"RIFF0000WAVE", b"no sound at all"])
def test_what_is_no_wav_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(VoiceError, match=r"bad\.wav"):
        voice.read_wav(tmp_path / "bad.wav")


def test_speech_that_would_come_round_within_the_search_is_refused() -> None:
    with pytest.raises(VoiceError, match="5 s"):
        voice.encode(babble(4, seed=1))


def test_the_packet_of_a_pause_is_one_that_opus_takes_for_dtx() -> None:
    spoken = voice.encode(babble(5, seed=1))
    assert len(spoken.comfort) == 1
    assert packet_samples(spoken.comfort) == FRAME_SAMPLES
    assert len(Decoder().decode(spoken.comfort)) == 2 * FRAME_SAMPLES


def test_turns_alternate_and_calls_are_not_in_step() -> None:
    turns = Turns(frames=3)
    assert [turns.speaks(n) for n in range(7)] == [True] * 3 + [False] * 3 + [True]
    assert not Turns(frames=3, start=4).speaks(0)
    assert all(Turns(frames=0).speaks(n) for n in range(100))


def test_the_built_in_speech_outlasts_the_search() -> None:
    assert len(voice.built_in()) > 10 * SAMPLE_RATE_HZ
    assert np.abs(voice.built_in()).max() > 1000
