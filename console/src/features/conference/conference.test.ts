import { describe, expect, it } from 'vitest'
import type { Conference, Member, MemberState } from '@/wire/types'
import { absent, boardOrder, boardState, counts, onStage, present, returnable, seatOf } from './board'
import { openDevices, type Platform } from './devices'
import { Floor, loudness } from './levels'

function member(id: string, state: MemberState, more: Partial<Member> = {}): Member {
  return {
    id,
    unit: `unit-${id}`,
    unit_name: id,
    user: null,
    name: null,
    host: false,
    state,
    rung_at: 0,
    answered_at: null,
    joined_at: null,
    audio: true,
    video: true,
    publishing: false,
    ...more,
  }
}

function conference(...members: Member[]): Conference {
  return {
    id: 'c',
    title: 'x',
    incident: null,
    run: null,
    opened_by: 'x',
    opened_at: 0,
    ended_at: null,
    stage: null,
    stage_name: null,
    stage_name_en: null,
    members,
  }
}

describe('the member board', () => {
  it('calls a member silent who answered and sends nothing, after a while', () => {
    const one = member('a', 'answered', { answered_at: 1_000 })
    expect(boardState(one, 2_000)).toBe('answered')
    expect(boardState(one, 20_000)).toBe('silent')
    expect(boardState({ ...one, publishing: true }, 20_000)).toBe('answered')
    expect(boardState(member('b', 'joined', { publishing: true }), 20_000)).toBe('joined')
    expect(boardState(member('b', 'joined'), 20_000)).toBe('silent')
  })

  it('puts those who need somebody before those who are here', () => {
    const all = [member('a', 'joined', { publishing: true }), member('b', 'missed'), member('c', 'ringing')]
    expect(boardOrder(all, 0).map((one) => one.id)).toEqual(['c', 'b', 'a'])
  })

  it('offers the way back to who left, not to who declined or whose colleague left', () => {
    const me = { id: 'me' }
    expect(returnable(member('a', 'left', { user: 'me', host: true }), me)).toBe(true)
    expect(returnable(member('a', 'joined', { user: 'me' }), me)).toBe(true)
    expect(returnable(member('a', 'left', { user: 'other' }), me)).toBe(false)
    expect(returnable(member('a', 'declined'), me)).toBe(false)
    expect(returnable(null, me)).toBe(false)
  })

  it('counts everybody once', () => {
    const states: MemberState[] = ['ringing', 'answered', 'joined', 'declined', 'missed', 'left']
    const room = conference(...states.map((state) => member(state, state)))
    expect(counts(room)).toEqual({ present: 2, ringing: 1, absent: 3 })
    expect(room.members.every((one) => Number(present(one)) + Number(absent(one)) + Number(one.state === 'ringing') === 1)).toBe(true)
  })
})

describe('my seat', () => {
  const me = { id: 'user-1', unit: 'unit-a' }

  it('is mine by person, and one that I am in before one that I left', () => {
    const room = conference(member('old', 'left', { user: 'user-1' }), member('new', 'joined', { user: 'user-1' }))
    expect(seatOf(room, me)?.id).toBe('new')
  })

  it('is the free one of my unit while it rings', () => {
    expect(seatOf(conference(member('a', 'ringing')), me)?.id).toBe('a')
  })

  it('is none when a colleague took the call', () => {
    expect(seatOf(conference(member('a', 'joined', { user: 'user-2' })), me)).toBeNull()
  })
})

describe('the stage without a camera', () => {
  const room = [member('a', 'joined'), member('b', 'joined'), member('gone', 'left')]

  it('shows the chosen member before the one who speaks', () => {
    expect(onStage(room, 'a', 'b', null)?.id).toBe('a')
    expect(onStage(room, null, 'b', null)?.id).toBe('b')
  })

  it('shows the host while nobody has spoken, and never me to myself', () => {
    const sending = [member('a', 'joined', { publishing: true }), member('h', 'joined', { publishing: true, host: true })]
    expect(onStage(sending, null, null, 'a')?.id).toBe('h')
    expect(onStage(sending, null, null, 'h')?.id).toBe('a')
  })

  it('never shows somebody who left', () => {
    expect(onStage(room, 'gone', null, null)).toBeNull()
  })
})

describe('the floor', () => {
  it('goes to who speaks, stays over a short pause and then falls free', () => {
    const floor = new Floor()
    expect(floor.next([{ id: 'a', level: 0.2 }], 0)).toBe('a')
    expect(floor.next([{ id: 'a', level: 0 }], 1_000)).toBe('a')
    expect(floor.next([{ id: 'a', level: 0 }], 2_600)).toBeNull()
  })

  it('is not taken by noise, nor by somebody hardly louder', () => {
    const floor = new Floor()
    expect(floor.next([{ id: 'a', level: 0.01 }], 0)).toBeNull()
    floor.next([{ id: 'a', level: 0.2 }], 1)
    expect(floor.next([{ id: 'a', level: 0.2 }, { id: 'b', level: 0.25 }], 2)).toBe('a')
    expect(floor.next([{ id: 'a', level: 0.2 }, { id: 'b', level: 0.5 }], 3)).toBe('b')
  })

  it('falls free when the holder leaves', () => {
    const floor = new Floor()
    floor.next([{ id: 'a', level: 0.2 }], 0)
    expect(floor.next([], 1)).toBeNull()
  })

  it('measures loudness as the root of the mean square', () => {
    expect(loudness(new Float32Array([0.5, -0.5]))).toBeCloseTo(0.5)
    expect(loudness(new Float32Array())).toBe(0)
  })
})

describe('camera and microphone', () => {
  function stream(audio: number, video: number): MediaStream {
    return { getAudioTracks: () => Array(audio).fill({}), getVideoTracks: () => Array(video).fill({}) } as unknown as MediaStream
  }

  function platform(answer: (wanted: MediaStreamConstraints) => MediaStream | string): Platform & { asked: number } {
    const one = {
      asked: 0,
      secure: true,
      media: {
        getUserMedia: (wanted: MediaStreamConstraints = {}) => {
          one.asked += 1
          const got = answer(wanted)
          return typeof got === 'string' ? Promise.reject(new DOMException('x', got)) : Promise.resolve(got)
        },
      },
    }
    return one
  }

  it('are both taken when both are there', async () => {
    const asked = platform(() => stream(1, 1))
    expect(await openDevices(asked)).toMatchObject({ audio: true, video: true, trouble: null })
    expect(asked.asked).toBe(1)
  })

  it('fall back to voice alone, and say what was missing', async () => {
    const found = await openDevices(platform((wanted) => (wanted.video ? 'NotFoundError' : stream(1, 0))))
    expect(found).toMatchObject({ audio: true, video: false, trouble: 'missing' })
  })

  it('leave a listener when the person refuses', async () => {
    const found = await openDevices(platform(() => 'NotAllowedError'))
    expect(found).toMatchObject({ stream: null, trouble: 'denied' })
  })

  it('are not asked for where the page is not secure', async () => {
    const asked = { ...platform(() => stream(1, 1)), secure: false }
    expect(await openDevices(asked)).toMatchObject({ stream: null, trouble: 'insecure' })
    expect(await openDevices({ secure: true, media: undefined })).toMatchObject({ trouble: 'insecure' })
  })
})
