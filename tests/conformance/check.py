"""Runs the independent suite scim2-tester against the server at BASE_URL, and says what it found.

Usage: BASE_URL=http://127.0.0.1:8080/scim/v2 TOKEN=fd_... check.py

Failed checks and departures from a SHOULD are printed with their reason and make the exit status 1; so are skipped ones, which
do not. A check that fails for what the RFC allows is named in `allowed` with the reason, and printed too.
"""

import os
import sys
from collections import Counter

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

FAILED = {Status.ERROR, Status.CRITICAL, Status.DEVIATION}


def allowed(result) -> str | None:
    """Why the RFC allows what a failed check complains about; None when it does not."""
    data = result.data if isinstance(result.data, dict) else {}
    if data.get("urn") == "members" and "actual" in data and plain(data["expected"]) == plain(data["actual"]):
        return "members.display is published as readOnly: the server fills it in (RFC 7643 section 7)"
    return None


def plain(members) -> list[dict]:
    """Members without what the server fills in."""
    return [{name: value for name, value in member.model_dump().items() if name != "display"} for member in members or []]


def main() -> int:
    """Run every check and return the exit status."""
    http = Client(
        base_url=os.environ["BASE_URL"],
        headers={"Authorization": f"Bearer {os.environ['TOKEN']}"},
        timeout=30,
    )
    results = check_server(SyncSCIMClient(http))
    counts = Counter()
    failed = False
    for result in results:
        reason = allowed(result) if result.status in FAILED else None
        failed |= result.status in FAILED and reason is None
        status = "allowed" if reason else result.status.name.lower()
        counts[status] += 1
        if result.status in FAILED | {Status.SKIPPED}:
            about = f" ({result.resource_type})" if result.resource_type else ""
            print(f"{status}: {result.title}{about}: {reason or result.reason}")
    print(f"{len(results)} checks: " + ", ".join(f"{count} {status}" for status, count in counts.most_common()))
    # An empty run proves nothing.
    succeeded = any(result.status is Status.SUCCESS for result in results)
    return 0 if succeeded and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
