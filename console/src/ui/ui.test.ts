import { afterEach, describe, expect, it, vi } from 'vitest'
import { setLanguage } from '@/i18n'
import { ApiError } from '@/wire/http'
import { isTyping, press, scopes } from './keys'
import { ago, duration, shortTime } from './time'
import { inOrder, label, reasonWords, wordsOf } from './words'

const refusal = (id: string, status: number, message = 'm'): ApiError => new ApiError({ id, status, message })

afterEach(() => {
  setLanguage('zh-CN')
  scopes.length = 0
  document.body.innerHTML = ''
})

describe('inOrder', () => {
  it('counts numbers in names as people do, and leaves equal names as they stand', () => {
    const names = ['通道10', '通道2', '12号楼2层', '通道1', '12号楼10层', '2号楼', '东门', '东门']
    expect(inOrder(names.map((name) => ({ name }))).map(({ name }) => name)).toEqual(
      ['2号楼', '12号楼2层', '12号楼10层', '东门', '东门', '通道1', '通道2', '通道10'])
  })

  it('takes numbers of any length', () => {
    expect(inOrder([{ name: '34020000001320000002' }, { name: '34020000001320000001' }]).map(({ name }) => name.at(-1))).toEqual(['1', '2'])
  })
})

describe('wordsOf', () => {
  it('knows an id before a status, and a status before nothing', () => {
    expect(wordsOf(refusal('session.wrong', 401))).toBe('用户名或密码错误')
    expect(wordsOf(refusal('never.heard', 409))).toBe('当前状态不允许此操作，请刷新后再试')
    expect(wordsOf(refusal('never.heard', 418))).toBe('出现意外错误：never.heard')
    expect(wordsOf(new TypeError('x is not a function'))).toBe('出现意外错误：TypeError')
  })

  it('speaks the language in force', () => {
    setLanguage('en')
    expect(wordsOf(refusal('session.wrong', 401))).toBe('Wrong user name or password')
  })
})

describe('reasonWords', () => {
  it.each(['unreachable', 'unauthorized', 'not_video', 'unsupported_codec', 'lost', 'refused', 'no_keyframe'])('has words for source.%s', (name) => {
    expect(reasonWords(`source.${name}`)).not.toBe(reasonWords('source.unheard'))
  })

  it('has words for a missing relay, for nothing and for the unheard', () => {
    expect(reasonWords('relay.none')).toBe('没有可用的转发节点')
    expect(reasonWords(null)).toBe('')
    expect(reasonWords('source.unheard')).toBe('码流故障')
  })
})

describe('label', () => {
  it('takes the English name in English only, if there is one', () => {
    expect(label({ name: '东门', name_en: 'East Gate' })).toBe('东门')
    setLanguage('en')
    expect(label({ name: '东门', name_en: 'East Gate' })).toBe('East Gate')
    expect(label({ name: '东门', name_en: '' })).toBe('东门')
  })
})

describe('time', () => {
  const now = new Date(2026, 10, 21, 14, 7, 35).getTime()
  it('leaves out what one knows', () => {
    expect(shortTime(now - 3_600_000, now)).toBe('13:07:35')
    expect(shortTime(now - 86_400_000, now)).toBe('11-20 14:07:35')
    expect(shortTime(new Date(2025, 0, 2, 3, 4, 5).getTime(), now)).toBe('2025-01-02 03:04:05')
  })

  it.each([[2, '刚刚'], [45, '45 秒前'], [200, '3 分钟前'], [7_300, '2 小时前'], [200_000, '2 天前'], [-9, '刚刚']])('%d s: %s', (seconds, words) => {
    expect(ago(now - seconds * 1_000, now)).toBe(words)
  })

  it.each([[0, '0:00'], [75, '1:15'], [3_675, '1:01:15'], [-61, '-1:01']])('%d s lasts %s', (seconds, words) => {
    expect(duration(seconds)).toBe(words)
  })
})

describe('keys', () => {
  function key(name: string, target: EventTarget = document.body, init: KeyboardEventInit = {}): boolean {
    const event = new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true, ...init })
    target.dispatchEvent(event)
    Object.defineProperty(event, 'target', { value: target })
    return press(event)
  }

  it('asks the innermost scope first, and respects when', () => {
    const outer = vi.fn()
    const inner = vi.fn()
    let on = true
    scopes.push({ title: 'a', bindings: [{ key: 'a', label: 'x', run: outer }] }, { title: 'b', bindings: [{ key: ['a', 'b'], label: 'y', run: inner, when: () => on }] })
    expect(key('A')).toBe(true)
    expect(inner).toHaveBeenCalledOnce()
    on = false
    key('a')
    expect(outer).toHaveBeenCalledOnce()
    expect(key('z')).toBe(false)
  })

  it('never fires while someone types, nor with Ctrl, nor behind a dialog', () => {
    const run = vi.fn()
    scopes.push({ title: 'a', bindings: [{ key: 'a', label: 'x', run }] })
    const field = document.body.appendChild(document.createElement('textarea'))
    expect(isTyping(field)).toBe(true)
    key('a', field)
    key('a', document.body, { ctrlKey: true })
    const dialog = document.body.appendChild(document.createElement('div'))
    dialog.className = 'el-overlay'
    dialog.getClientRects = () => [1] as unknown as DOMRectList
    key('a')
    expect(run).not.toHaveBeenCalled()
  })
})
