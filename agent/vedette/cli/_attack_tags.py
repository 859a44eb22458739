"""Which tags of MITRE ATT&CK there are (Enterprise, up to version 19), and which is meant instead.

Rule: sub-techniques are known by the highest number of their technique, so that one that was
withdrawn from the middle passes; what is newer than this list is a warning, never an error.
Source: attack.mitre.org, "Enterprise Techniques"; Sigma specification, "Tags appendix".
"""

from __future__ import annotations

import difflib
import re

TACTICS = frozenset((
    "reconnaissance", "resource-development", "initial-access", "execution", "persistence",
    "privilege-escalation", "stealth", "defense-impairment", "defense-evasion",
    "credential-access", "discovery", "lateral-movement", "collection", "command-and-control",
    "exfiltration", "impact",
))  # fmt: skip
"""Version 19 parted defense-evasion, which older rules say, into stealth and defense-impairment."""

_TECHNIQUES = """
1001.3 1003.8 1005 1006 1007 1008 1010 1011.1 1012 1014 1016.2 1018 1020.1 1021.8 1025 1027.17 1029
1030 1033 1036.12 1037.5 1039 1040 1041 1046 1047 1048.3 1049 1052.1 1053.7 1055.15 1056.4 1057
1059.13 1068 1069.3 1070.10 1071.5 1072 1074.2 1078.4 1080 1082 1083 1087.4 1090.4 1091 1092 1095
1098.7 1102.3 1104 1105 1106 1110.4 1111 1112 1113 1114.3 1115 1119 1120 1123 1124 1125 1127.3 1129
1132.2 1133 1134.5 1135 1136.3 1137.6 1140 1176.2 1185 1187 1189 1190 1195.3 1197 1199 1200 1201
1202 1203 1204.5 1205.2 1207 1210 1211 1212 1213.6 1216.2 1217 1218.15 1219.3 1220 1221 1222.2
1480.2 1482 1484.2 1485.1 1486 1489 1490 1491.2 1495 1496.4 1497.3 1498.2 1499.4 1505.6 1518.2 1525
1526 1528 1529 1530 1531 1534 1535 1537 1538 1539 1542.5 1543.5 1546.18 1547.15 1548.6 1550.4 1552.8
1553.6 1554 1555.6 1556.9 1557.4 1558.5 1559.3 1560.3 1561.2 1562.13 1563.2 1564.14 1565.3 1566.4
1567.4 1568.3 1569.3 1570 1571 1572 1573.2 1574.14 1578.5 1580 1583.8 1584.8 1585.3 1586.3 1587.4
1588.7 1589.3 1590.6 1591.4 1592.4 1593.3 1594 1595.3 1596.5 1597.2 1598.4 1599.1 1600.2 1601.2
1602.2 1606.2 1608.6 1609 1610 1611 1612 1613 1614.1 1615 1619 1620 1621 1622 1647 1648 1649 1650
1651 1652 1653 1654 1656 1657 1659 1665 1666 1667 1668 1669 1671 1672 1673 1674 1675 1676 1677 1678
1679 1680 1681 1685.6 1686.3 1687 1688 1689 1690
"""
_HIGHEST = {
    number: int(last or 0)
    for number, _, last in (word.partition(".") for word in _TECHNIQUES.split())
}
_TECHNIQUE = re.compile(r"t(\d{4})(?:\.(\d{3}))?")
_OTHER = re.compile(r"(?:g|s|c)\d{4}|ta\d{4}|ds\d{4}|m\d{4}")
"""Groups, software, campaigns, tactics by number, data sources, mitigations."""


def is_technique(tag: str) -> bool:
    """Whether a tag names a technique, known or not."""
    return _TECHNIQUE.fullmatch(tag.removeprefix("attack.")) is not None


def complaint(tag: str) -> str:
    """What is wrong with a tag of the namespace `attack`, "" where nothing is known to be."""
    name = tag.removeprefix("attack.")
    if name in TACTICS or _OTHER.fullmatch(name):
        return ""
    found = _TECHNIQUE.fullmatch(name)
    if found is None:
        return _unreadable(name)
    number, below = found[1], int(found[2] or 0)
    if number not in _HIGHEST:
        return f"ATT&CK has no technique T{number}, as far as this version knows"
    if below > _HIGHEST[number]:
        return f"ATT&CK's technique T{number} has no sub-technique {found[2]}, as far as is known"
    return ""


def _unreadable(name: str) -> str:
    folded = name.lower().replace("_", "-").replace(" ", "-")
    close = difflib.get_close_matches(folded, TACTICS, n=1, cutoff=0.7)
    if _TECHNIQUE.fullmatch(folded):
        close = [folded]
    hint = f'; did you mean "attack.{close[0]}"?' if close else ""
    return f'expected a tactic such as "persistence" or a technique such as "t1059.004"{hint}'
