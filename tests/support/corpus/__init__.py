"""Pictures as cameras, telephones, scanners and editors write them, all made by code, and what must become of each."""

from support.corpus import heifs, jpegs, others, pngs, tiffs
from support.corpus.entry import Entry

ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for family in (jpegs.entries, pngs.entries, tiffs.entries, others.webps, others.bmps, heifs.heics, heifs.avifs)
    for entry in family()
}
ACCEPTED = [entry for entry in ENTRIES.values() if entry.refused is None]
REFUSED = [entry for entry in ENTRIES.values() if entry.refused is not None]
