"""Letters out of pictures: what `lettergpu predict` and the page do, for Python.

import lettergpu
lettergpu.read("note.jpg").text
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial, reduce
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..backends.device import CPU, Device
from ..data import SIDE
from ..errors import LettergpuError, one_of
from ..nn.network import Network
from ..training import checkpoint
from .filters import darkest, in_one_piece, labelled
from .ink import EMPTY, SHARPER, SOFT, THRESHOLDS, Ink, find_ink, two_toned
from .language import english
from .layout import Found, find_letters, may_be_one, single_letter
from .lexicon import lexicon_of
from .normalise import as_the_report_did, has_emnists_form
from .order import ABREAST, box_back, left_over, sections_of
from .page import PHOTO, is_drawing, on_paper, perhaps_on_paper, turned_over
from .pictures import Page, open_page, unframed
from .reading import SURER, WORD, Letter, Reading, tried
from .rules import unruled
from .sheet import Glyph
from .spans import Judge

FORMS = ("auto", "single", "text")
DOUBT, CLOSE = 0.03, 2_000_000  # mean log probability from which on a picture of few pixels is looked at again,
STAYS = 0.8  # by how much a text that is turned has to stand more upright
FEWER = 0.6  # times as many letters, or more, that are found in what is turned right
PLAIN, SURE = (-0.5, 2.0), 0.3  # how likely no letter and a plain one is; and what one is worth for being named
MORE = 0.4  # by what a note has to beat the whole picture
BOLD, ALONE = -1.0, 0.5  # how likely each letter is that fills a picture, bold as it is; how much less plain one alone
AROUND = 0.5  # and how likely, in the mean, those of a picture that seems to end on the table: that has letters, too
LOOKED = 45e6  # pixels looked at, a page's again for each way to see it, after which no other is tried
ASKED, INKED = 2000, 100  # pieces a network was asked about, or ink is in, up to which another look or turn is worth it
FULL = 1000  # letters: a page that has more is not read with weak ink and without, or around it; nor if sure again,
MOST = 2000  # and of more than these not again in any case: each look takes seconds
ENOUGH = 8  # letters to tell by
BINARIZERS = (*THRESHOLDS, "kmeans")
JOINED = 0.4  # of a text's width that hangs together over several letters, from which on it is read badly
WARNING = "much of the ink hangs together over several letters: joined-up writing is not read"
Shape = tuple[int, ...]


class Reader:
    """A network that reads pictures. Threads may share one.

    like: a second network, of classes none and letter, that tells letters from other ink; None: the one in the package.
    """

    def __init__(self, network: Network, like: Network | None = None):
        if network.sizes[0] != 784:
            raise LettergpuError(f"the network reads {network.sizes[0]} pixels, not 28x28: it cannot read pictures")
        self.network = network
        self.judge = Judge.of(network, like)

    @classmethod
    def of(cls, model: str | Path | None = None, device: Device = CPU) -> "Reader":
        """The reader with the network of a run folder or a .safetensors file; None: the one in the package."""
        network = checkpoint.load(checkpoint.BOXED if model is None else model, device)
        return cls(network, checkpoint.load(checkpoint.LETTERLIKE, device))

    def read(
        self,
        source: "str | Path | bytes | IO[bytes] | np.ndarray | Any",
        *,
        form: str = FORMS[0],
        binarize: str = BINARIZERS[0],
        top: int = 5,
        lexicon: str | Path | None = None,
        context: bool = True,
    ) -> Reading:
        """The letters of a picture: a path, the content of an image file, an open one, a Pillow image, a uint8 array.

        form: single takes all ink for one letter, text looks for lines of letters, auto is text but for a picture that
        is in EMNIST's form already, or whose few letters are likelier parts of one. binarize: how ink is told from
        paper, one of BINARIZERS; kmeans is the report's own way, which takes the picture for a single letter. top: how
        many of the likeliest letters to name. What is read with doubt is tried turned by quarters, patches of it as
        notes, and ink without the rules of its paper. context: a letter is told by those beside it, too, as they follow
        each other in English or, on a sheet of letters, in the alphabet. lexicon: "english" or a file of a word a line;
        what looks like one of these words is read as it, cuts included.
        Raises LettergpuError for what cannot be read, also where there is no letter.
        """
        one_of("form", form, FORMS)
        one_of("binarize", binarize, BINARIZERS)
        if not 1 <= top <= len(self.network.classes):
            raise LettergpuError(f"top {top}: give a number from 1 to {len(self.network.classes)}")
        if binarize == "kmeans" and form == "text":
            raise LettergpuError("binarize kmeans takes all for a single letter, as the report does: leave out text")
        words = lexicon_of(str(lexicon), self.network.classes) if lexicon else None
        language = english(self.network.classes) if context else None
        page = source if isinstance(source, Page) else open_page(source)
        shape, size = page.pixels.shape[:2], page.size
        if binarize == "kmeans":
            return self._answer(_alone(Glyph.whole(as_the_report_did(page.pixels), shape)), shape, size, top)
        if form != "text" and size == (SIDE, SIDE) and has_emnists_form(page.pixels):
            return self._answer(_alone(Glyph.whole(page.pixels[..., 0], shape)), shape, size, top)

        page, left, above = unframed(page)
        shape, size = page.pixels.shape[:2], page.size
        asked = looked = most = 0

        def names(images: np.ndarray) -> np.ndarray:
            nonlocal asked
            asked += len(images)
            return self.judge.names(images)

        def worth(pixels: np.ndarray) -> np.ndarray:
            nonlocal looked
            if looked > LOOKED or most > MOST:
                raise LettergpuError(EMPTY)
            looked += pixels.shape[0] * pixels.shape[1]
            return pixels

        def find(ink: Ink) -> Found:
            worth(ink.share)
            return find_letters(ink, self.judge._replace(names=names), words, language)

        def look(ink: Ink, one: bool = form == "single") -> Reading:
            nonlocal most
            before = asked
            if one:
                return self._answer(_alone(single_letter(ink)), shape, size, top)
            reading = self._answer(find(ink), shape, size, top)
            most = max(most, len(reading.letters))
            if form == "auto" and may_be_one(np.array([letter.box for letter in reading.letters]), ink):
                whole = look(ink, one=True)
                reading = whole if self._likely(whole).mean() > self._likely(reading).mean() + SURER else reading
            return reading if asked - before > ASKED else self._turned(reading, ink, find, shape, size, top)

        def fills(ink: Ink) -> Reading:
            return look(ink, form == "single" or (form == "auto" and in_one_piece(labelled(ink.mask)[0])))

        def part(paper: np.ndarray, blur: float, rows: tuple[int, int]) -> Reading:
            ink = _seen_again(find_ink(worth(paper[slice(*rows)]), binarize, blur))[-1]
            high, down = rows[1] - rows[0], size[1] / shape[0]
            if not (found := find(ink)).sure:
                raise LettergpuError(EMPTY)
            reading = self._answer(found, (high, shape[1]), (size[0], round(down * high)), top)
            return reading.moved(0, round(down * rows[0]))

        def through(blur: float, paper: np.ndarray) -> Reading:
            ink = find_ink(worth(paper), binarize, blur)
            also = [] if ink.also is None else [replace(ink, share=ink.also)]
            inks = also if also and ink.pieces[1] > FULL else [ink, *also]
            few = sum(ink.pieces) <= INKED
            if few and (grey := darkest(paper)) is not None:
                with suppress(LettergpuError):
                    inks.append(find_ink(worth(grey), binarize, blur))
            known, empty = tried(look, chain.from_iterable(map(_seen_again, inks)), self._full)
            known = self._filling(tried(fills, two_toned(paper) if few else ())[0], known, size)
            if form == "single" or not known or len(known[0].letters) > FULL:
                return self._fullest(known, empty)
            parts, unread = tried(partial(part, paper, blur), sections_of(ink))
            best = self._fullest(known + ([] if unread or not parts else [reduce(Reading.around, parts)]), None)
            if best.turned:
                return best
            rows = np.array([letter.box[1::2] for letter in best.letters]) * (shape[0] / size[1])
            parts, _ = tried(partial(part, paper, blur), left_over(ink, rows))
            plain = [reading for reading in parts if reading.surety > -SURER and reading.abreast >= ABREAST]
            return reduce(Reading.around, plain, best)

        seen = partial(self._on_its_sheet, page.pixels)
        reading = seen(partial(through, SOFT))
        doubtful = reading.surety < -DOUBT and asked <= ASKED and shape[0] * shape[1] <= CLOSE
        again, _ = tried(seen, [partial(through, SHARPER)] if doubtful else [])
        best = max(reading, *again, key=self._plain) if again else reading
        return replace(best, warning=reading.warning or best.warning).unnumbered().moved(left, above)

    def _turned(
        self, reading: Reading, ink: Ink, find: Callable[[Ink], Found], shape: Shape, size: Shape, top: int
    ) -> Reading:
        """What is read of the ink if it is turned by quarters, where that is surer; else what was read of it."""
        if not (ways := reading.turns(ink.pieces[1])):
            return reading
        most = self._upright(reading) + STAYS
        for quarters in ways:
            step = -1 if quarters % 2 else 1
            try:
                turned = find(replace(ink, share=np.rot90(ink.share, quarters)))
                other = self._answer(turned, shape[::step], size[::step], top)
            except LettergpuError:
                continue
            times, least = len(other.letters) / len(reading.letters), FEWER if len(reading.letters) > 1 else WORD
            if times < least or (quarters == 2 and times > 1.0 / FEWER):  # dots, taken off their stems
                continue
            if (says := self._upright(other)) > most:
                back = [replace(letter, box=box_back(letter.box, size, quarters)) for letter in other.letters]
                reading, most = replace(other, letters=tuple(back), turned=90 * quarters), says
        return reading

    def _upright(self, reading: Reading) -> float:
        """What tells a text that stands upright: plain letters, surely named, many side by side."""
        return self._plain(reading) + float(np.log(reading.abreast))

    def _plain(self, reading: Reading) -> float:
        """What tells a text that is seen as it is: letters like others, and surely named."""
        return float(self._likely(reading).clip(*PLAIN).mean()) + 4.0 * reading.surety

    def _on_its_sheet(self, pixels: np.ndarray, seen: Callable[[np.ndarray], Reading]) -> Reading:
        """What is read of all of the picture, or of what may be a note in it, where that says more."""
        page, *whole = on_paper(pixels)
        known, empty = tried(seen, [page])
        full = bool(known) and len(known[0].letters) > FULL
        over = () if full else map(on_paper, turned_over(pixels))
        around, _ = tried(seen, () if full else chain(whole, *over))
        known += [reading for reading in around if self._likely(reading).clip(*PLAIN).mean() > AROUND]
        if not is_drawing(pixels):
            sure = bool(known) and self._sure(known[0])
            notes = () if sure and max(pixels.shape) >= PHOTO else perhaps_on_paper(pixels, signs=not sure)
            known += tried(seen, notes)[0]
        return self._fullest(known, empty)

    def _fullest(self, known: list[Reading], empty: LettergpuError | None) -> Reading:
        """What says most of these, the first with a bonus; where there is none, what was wrong with it is raised."""
        if empty and not known:
            raise empty
        if len(known) == 1:
            return known[0]
        says = [self._likely(reading).clip(*PLAIN).sum() + SURE * reading.named for reading in known]
        says[0] += MORE
        return known[int(np.argmax(says))]

    def _filling(self, seen: list[Reading], known: list[Reading], size: Shape) -> list[Reading]:
        """The first of these that is surely letters, and fills a picture, but where what is known says more."""
        bold = [one for one in seen if one.surety > -SURER and one.fills(size) and self._likely(one).min() > BOLD][:1]
        if bold and known and self._plain(bold[0]) + ALONE * (len(bold[0].letters) == 1) < self._plain(known[0]):
            return known
        return bold or known

    def _sure(self, reading: Reading) -> bool:
        """Whether there is no doubt about what was read: a note as a whole is as surely some letter, but like none."""
        return reading.surety > -SURER and (len(reading.letters) >= ENOUGH or self._likely(reading).min() > 0)

    def _answer(self, found: Found, shape: Shape, size: Shape, top: int) -> Reading:
        """What the letters found are named. shape: of the page's pixels; size: the original's width and height."""
        # of empty ones a network would name something, too
        lines = [[[glyph for glyph in word if glyph.image.any()] for word in line] for line in found.lines]
        lines = [words for line in lines if (words := [word for word in line if word])]
        glyphs = [glyph for line in lines for word in line for glyph in word]
        if not glyphs:
            raise LettergpuError(EMPTY)
        images = np.stack([glyph.image for glyph in glyphs])
        known = [glyph.named for glyph in glyphs if glyph.named is not None]
        probabilities = np.stack(known) if len(known) == len(glyphs) else self.network.predict_proba(images)
        seen = self.network.seen(images)
        classes = self.network.classes
        letters = []
        for glyph, row, saw in zip(glyphs, probabilities, seen, strict=True):
            likeliest = np.argsort(-row, kind="stable")[:top]
            guesses = tuple((classes[i], float(row[i])) for i in likeliest)
            letters.append(Letter(glyph.box_in(shape, size), guesses, glyph.image, saw))
        names = iter(glyph.name or letter.top[0][0] for glyph, letter in zip(glyphs, letters, strict=True))
        text = "\n".join(" ".join("".join(next(names) for _ in word) for word in line) for line in lines)
        return Reading(text, tuple(letters), warning=WARNING if found.joined > JOINED else "")

    def _full(self, reading: Reading) -> bool:
        """Whether nothing is left to see: a page full of letters without doubt."""
        return len(reading.letters) > FULL and self._sure(reading)

    def _likely(self, reading: Reading) -> np.ndarray:
        """How likely each of these is a letter by its ink alone, as a line's are judged; what is none is below 0."""
        return self.judge.likely(np.stack([letter.image for letter in reading.letters]))

    def hidden(self, letters: Sequence[Letter]) -> list[np.ndarray]:
        """The activations of each hidden layer, (letters, nodes), for letters read."""
        return self.network.hidden(np.stack([letter.image for letter in letters]))


def read(source: Any, *, model: str | Path | None = None, **how: Any) -> Reading:
    """The letters of a picture, as `Reader.read` takes and tells them. model: as `Reader.of` takes it."""
    return (_boxed() if model is None else Reader.of(model)).read(source, **how)


_boxed = lru_cache(maxsize=1)(Reader.of)


def _seen_again(ink: Ink) -> list[Ink]:
    """The ink without boxes around letters, and without rules, too, where it has some; or with dots strung."""
    return [replace(ink, share=share, stroke=stroke) for share, stroke in unruled(ink.share, ink.stroke)]


def _alone(glyph: Glyph) -> Found:
    return Found([[[glyph]]], 0.0)
