"""The gateway's metrics at one moment."""

import urllib.request


class Scrape:
    def __init__(self, text):
        self.lines = [line for line in text.splitlines() if line and not line.startswith("#")]

    @classmethod
    def of(cls, admin):
        with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as reply:
            return cls(reply.read().decode())

    def total(self, family, **labels):
        """The sum of a family's series that have these labels."""
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        own = (line for line in self.lines if line.startswith((f"{family}{{", f"{family} ")))
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in own if all(pair in line for pair in wanted)
        )
