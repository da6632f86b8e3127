"""Exit 0 when a LeakSanitizer report has a leak that a brigantine module allocated itself.

The frame right below the allocator tells: objects that Python made, for whomever, are Python's.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_LEAK = re.compile(r"^(?:Direct|Indirect) leak of .*?(?=^$)", re.M | re.S)
_FRAME = re.compile(r"^\s+#1 .*brigantine/core/", re.M)

if __name__ == "__main__":
    report = Path(sys.argv[1]).read_text()
    sys.exit(0 if any(_FRAME.search(leak) for leak in _LEAK.findall(report)) else 1)
