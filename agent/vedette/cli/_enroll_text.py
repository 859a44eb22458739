"""What an enrolment tells: for people, and for programs."""

from __future__ import annotations

from vedette.cli._enroll_plan import Result
from vedette.codec.strict_json import Json
from vedette.codec.text import escape

RESTART = "systemctl daemon-reload && systemctl restart vedette (OpenWrt: service vedette restart)"
"""The first makes systemd ask which parts this device needs now (packaging/systemd/generator)."""


def to_json(result: Result) -> dict[str, Json]:
    """The result for programs; every secret stays on the device."""
    device = result.config.device
    return {
        "tenant": device.tenant,
        "device": device.id,
        "public_key": result.public_key.hex(),
        "fingerprint": result.key_id,
        "new_key": result.is_new_key,
        "broker": result.config.uplink.host,
        "certificate": result.certificate,
        "certificate_fingerprint": result.fingerprint,
        "request": result.request.decode(),
        "files": [{"path": str(one.path), "action": one.action} for one in result.files],
        "missing": list(result.missing),
        "next": [*next_steps(result)],
    }


def render(result: Result) -> list[str]:
    """The result for people."""
    device = result.config.device
    made = "made now" if result.is_new_key else "there before"
    lines = [
        f"this device is {device.tenant}/{device.id}",
        f"signing key   {made}; it never leaves {result.config.identity.key}",
        f"fingerprint   {result.key_id}",
    ]
    if result.config.uplink.host:
        uplink = result.config.uplink
        lines.append(
            f"broker        {uplink.host}:{uplink.port}, certificate: {result.certificate}"
        )
    if result.fingerprint:
        lines.append(f"certificate   sha256 {result.fingerprint}")
    lines += [f"{one.action:<13} {one.path}" for one in result.files]
    lines += [f"missing       {line}" for line in result.missing]
    lines += ["", "next:"]
    lines += [f"  {number}. {step}" for number, step in enumerate(next_steps(result), 1)]
    return [escape(line) for line in lines]


def next_steps(result: Result) -> list[str]:
    """What is to be done now, and where."""
    device = result.config.device
    enroll = (
        f"vedette fleet enroll --registry fleet.json --tenant {device.tenant} --device {device.id} "
        f"--key {result.public_key.hex()} --fingerprint {result.key_id}"
    )
    steps = [f"operator: {enroll}"]
    if result.certificate == "requested":
        steps.append(
            "operator: have the fleet's authority sign device.csr, then here: "
            "vedette enroll --certificate device.pem"
        )
    if result.certificate == "self-signed":
        steps.append(
            "operator: add device.pem to the certificates that the broker believes (mosquitto: "
            "cafile), after comparing its fingerprint"
        )
    if any(one.action == "written" for one in result.files):
        steps.append(f"here: {RESTART}")
    return steps
