/** Who is here and who is not: the order and the marks of the member board. Pure. */
import type { Conference, Member, MemberState } from '@/wire/types'

export type BoardState = MemberState | 'silent'

const SILENT_AFTER = 8_000 // ms between answering and media before the board calls a member silent

/** A member's state as people read it: answered long ago and without media is silent, and so is one whose media ended. */
export function boardState(member: Member, now: number): BoardState {
  if (member.state === 'answered' && !member.publishing && now - (member.answered_at ?? now) > SILENT_AFTER) {
    return 'silent'
  }
  return member.state === 'joined' && !member.publishing ? 'silent' : member.state
}

const ORDER: Readonly<Record<BoardState, number>> = {
  ringing: 0,
  silent: 1,
  missed: 2,
  declined: 3,
  left: 4,
  answered: 5,
  joined: 6,
}

/** Those that need somebody's attention first, then the rest by name. */
export function boardOrder(members: readonly Member[], now: number): Member[] {
  return [...members].sort(
    (a, b) =>
      ORDER[boardState(a, now)] - ORDER[boardState(b, now)] || a.unit_name.localeCompare(b.unit_name, 'zh-CN'),
  )
}

export function present(member: Member): boolean {
  return member.state === 'joined' || member.state === 'answered'
}

/** Called once and neither here nor ringing: may be called again. */
export function absent(member: Member): boolean {
  return member.state === 'missed' || member.state === 'declined' || member.state === 'left'
}

export function counts(conference: Conference): { present: number; ringing: number; absent: number } {
  const of = (test: (member: Member) => boolean) => conference.members.filter(test).length
  return { present: of(present), ringing: of((member) => member.state === 'ringing'), absent: of(absent) }
}

/** Whether this seat is one to go (back) into: taken on this or another terminal of mine, or left by me. */
export function returnable(seat: Member | null, me: { id: string }): boolean {
  return seat !== null && (present(seat) || (seat.user === me.id && seat.state === 'left'))
}

/** My own seat: by person (one that is in before one that was left), else the one of my unit that nobody has taken. */
export function seatOf(conference: Conference, me: { id: string; unit: string }): Member | null {
  const mine = conference.members.filter((member) => member.user === me.id)
  return (
    mine.find(present) ??
    mine[0] ??
    conference.members.find((member) => member.unit === me.unit && member.user === null) ??
    null
  )
}

/** Whose picture fills the stage when no camera does: the chosen one, else who spoke last, else the host, else anybody
 * but me who sends one. */
export function onStage(
  members: readonly Member[],
  chosen: string | null,
  spoke: string | null,
  self: string | null,
): Member | null {
  const here = (id: string | null) => members.find((member) => member.id === id && present(member))
  const others = members.filter((member) => member.id !== self && present(member) && member.publishing)
  return here(chosen) ?? here(spoke) ?? others.find((member) => member.host) ?? others[0] ?? null
}
