"""A command of the interface as a message to the device (GB/T 28181-2016 9.3, annex A.2.3; -2022 A.2.3)."""

from typing import Final, Literal

from hub.bus import command_wire as wire
from hub.domain.errors import Invalid
from hub.gateway.questions import Questions
from signaling.gb28181 import messages as m
from signaling.gb28181 import ptz
from signaling.gb28181.edition import knows_2022
from signaling.gb28181.items import AlarmReset, HomePosition, PrecisePosition, SnapShot

ANSWERED: Final = frozenset({"guard", "unguard", "reset_alarm", "record", "stop_record"})
"""The standard has the device answer these (2016 9.3.1); everything else is sent and done."""
PATIENCE_S: Final = 5.0


async def perform(questions: Questions, device: str, command: wire.Command, edition: str | None) -> wire.CommandOut:
    """Have a device do it. Raises Unavailable, NotFound, Invalid (``gb28181.edition``: only 2022 knows it)."""
    sn, channel = questions.number(), command.channel
    match command:
        case wire.Presets():
            found = await questions.ask(device, m.PresetQuery(sn=sn, device=channel), m.Presets)
            items = [
                wire.PresetItem(number=each.number, name=each.name) for each in found.items if each.number is not None
            ]
            return wire.CommandOut(result="ok", presets=items)
        case wire.ConfigDownload():
            asked = m.ConfigDownload(sn=sn, device=channel, what=command.what)
            config = await questions.ask(device, asked, m.Config)
            return wire.CommandOut(result=_result(config.result), values=_values(config.basic, config.video))
        case wire.Simple(type="info"):
            info = await questions.ask(device, m.DeviceInfoQuery(sn=sn, device=channel), m.DeviceInfo)
            return wire.CommandOut(result=_result(info.result), values=_values(info))
        case wire.Simple(type="status"):
            status = await questions.ask(device, m.DeviceStatusQuery(sn=sn, device=channel), m.DeviceStatus)
            return wire.CommandOut(result=_result(status.result), values=_values(status))
    control = control_of(sn, command, edition)
    if command.type in ANSWERED:
        answer = await questions.ask(device, control, m.ControlResponse, timeout_s=PATIENCE_S)
        return wire.CommandOut(result=_result(answer.result))
    await questions.send(device, control)
    return wire.CommandOut(result="sent")


def control_of(sn: int, command: wire.Command, edition: str | None) -> m.Message:
    """The DeviceControl of a command. Raises Invalid ``gb28181.edition``."""
    channel = command.channel
    match command:
        case wire.Simple(type="keyframe"):
            return m.DeviceControl(sn=sn, device=channel, keyframe=True)
        case wire.Simple(type="guard" | "unguard"):
            return m.DeviceControl(sn=sn, device=channel, guard=command.type == "guard")
        case wire.Simple(type="record" | "stop_record"):
            return m.DeviceControl(sn=sn, device=channel, record=command.type == "record")
        case wire.Simple(type="reset_alarm"):
            return m.DeviceControl(sn=sn, device=channel, reset_alarm=True, alarm=AlarmReset())
        case wire.Simple(type="reboot"):
            return m.DeviceControl(sn=sn, device=channel, reboot=True)
        case wire.HomePosition(enabled=enabled, reset_s=reset_s, preset=preset):
            home = HomePosition(enabled=enabled, reset_s=reset_s, preset=preset)
            return m.DeviceControl(sn=sn, device=channel, home=home)
        case wire.PrecisePtz(pan=pan, tilt=tilt, zoom=zoom):
            _need_2022(edition)
            return m.DeviceControl(sn=sn, device=channel, precise=PrecisePosition(pan=pan, tilt=tilt, zoom=zoom))
        case wire.Snapshot():
            _need_2022(edition)
            shot = SnapShot(
                count=command.count,
                interval_s=command.interval_s,
                upload_url=command.upload_url,
                session=command.session,
            )
            return m.DeviceConfig(sn=sn, device=channel, snapshot=shot)
        case _:
            return m.DeviceControl(sn=sn, device=channel, ptz=ptz.encode(_ptz(command)))


def _ptz(command: wire.Command) -> ptz.PtzCommand:
    match command:
        case wire.Move(pan=pan, tilt=tilt, zoom=zoom):
            return ptz.move(pan, tilt, zoom)
        case wire.Lens(focus=focus, iris=iris):
            return ptz.lens(focus, iris)
        case wire.Preset(action=action, number=number):
            return ptz.Preset(action, number)
        case wire.Cruise(action="stop") | wire.Scan(action="stop"):
            return ptz.Move()  # A.3.5, A.3.6: stopped by the stop of a move
        case wire.Cruise(action="add" | "delete" | "speed" | "stay" | "start" as action):
            return ptz.Cruise(action, command.number, command.preset, command.value)
        case wire.Scan(action="start" | "left" | "right" | "speed" as action):
            return ptz.Scan(action, command.number, command.value)
        case wire.Switch(number=number, on=on):
            return ptz.Switch(number, on)
    raise Invalid("gb28181.command", f"no such command: {command.type}")


def _need_2022(edition: str | None) -> None:
    if not knows_2022("2022" if edition == "2022" else None):
        raise Invalid("gb28181.edition", "the device does not say that it knows the edition of 2022")


def _result(said: bool | None) -> Literal["ok", "error"]:
    return "error" if said is False else "ok"


def _values(*groups: object) -> dict[str, str]:
    """What a message says, for people: field -> text."""
    found: dict[str, str] = {}
    for group in groups:
        for name in getattr(group, "__dataclass_fields__", {}):
            value = getattr(group, name)
            if value not in (None, "", ()) and name not in ("sn", "result") and len(found) < 64:
                found[name] = str(value)[:500]
    return found
