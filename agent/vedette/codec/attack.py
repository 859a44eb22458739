"""Sigma's ATT&CK tags, and ours of MITRE ATLAS, as OCSF attack objects.

Rule 1: a tag that names neither a tactic nor a technique of the Enterprise matrix, nor a technique
of ATLAS, gives nothing here; it stays in the finding's own list of tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from vedette.codec.strict_json import Json

# MITRE ATT&CK Enterprise 17, with the spelling of Sigma's tags.
_TACTICS = {
    "reconnaissance": ("TA0043", "Reconnaissance"),
    "resource-development": ("TA0042", "Resource Development"),
    "initial-access": ("TA0001", "Initial Access"),
    "execution": ("TA0002", "Execution"),
    "persistence": ("TA0003", "Persistence"),
    "privilege-escalation": ("TA0004", "Privilege Escalation"),
    "defense-evasion": ("TA0005", "Defense Evasion"),
    "credential-access": ("TA0006", "Credential Access"),
    "discovery": ("TA0007", "Discovery"),
    "lateral-movement": ("TA0008", "Lateral Movement"),
    "collection": ("TA0009", "Collection"),
    "exfiltration": ("TA0010", "Exfiltration"),
    "command-and-control": ("TA0011", "Command and Control"),
    "impact": ("TA0040", "Impact"),
}
_TECHNIQUE = re.compile(r"(?:attack\.(?=t)|atlas\.(?=aml))((?:aml\.)?t[0-9]{4})(\.[0-9]{3})?")
_PREFIX = "attack."


def attacks(tags: Iterable[str]) -> list[Json]:
    """One OCSF attack object for each tactic and technique, in the order of the tags.

    Args:
        tags: as Sigma writes them: attack.execution, attack.t1059.004; of ATLAS
            atlas.aml.t0010.003.
    """
    found: list[Json] = []
    for tag in tags:
        lowered = tag.lower()
        tactic = _TACTICS.get(lowered.removeprefix(_PREFIX).replace("_", "-"))
        technique = _TECHNIQUE.fullmatch(lowered)
        if tactic is not None and lowered.startswith(_PREFIX):
            found.append({"tactic": {"uid": tactic[0], "name": tactic[1]}})
        elif technique is not None:
            found.append(_technique(technique))
    return found


def _technique(match: re.Match[str]) -> dict[str, Json]:
    uid = match[1].upper()
    if match[2] is None:
        return {"technique": {"uid": uid}}
    return {"technique": {"uid": uid}, "sub_technique": {"uid": uid + match[2]}}
