import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it } from 'vitest'
import { i18n } from '@/i18n'
import type { ScoreItem, ScoreSheet } from '@/wire/types'
import ScoreSheetView from './ScoreSheetView.vue'
import { outside, seconds, share } from './sheet'
import YamlEditor from './YamlEditor.vue'

function item(id: string, status: ScoreItem['status'], points: string | null): ScoreItem {
  return {
    id, status, points, title: id, title_en: id, metric: 'order.signed', form: 'threshold', of: '20', explanation: '说明',
    explanation_en: 'words', measured_ms: null, details: [],
    evidence: [{ seq: 41, kind: 'order.signed', at: 1, unit: 'dept-police', unit_name: '公安局' }],
  }
}

const sheet: ScoreSheet = {
  run: 'run-1', title: '演练', rubric: '细则', rubric_en: 'rubric', language: 'zh', rubric_sha256: 'b'.repeat(64),
  scenario_sha256: 'c'.repeat(64), log_from: 1, log_to: 90, started_at: 1, ended_at: 2, points: '17.5', of: '40', full: '80',
  items: [item('signed', 'scored', '17.5'), item('late', 'zero', '0'), item('held', 'held', null), item('none', 'not_exercised', null)],
  sheet_sha256: 'a'.repeat(64),
}

beforeEach(() => {
  setActivePinia(createPinia())
})

describe('points', () => {
  it('fill the bar by their share, and none is no zero', () => {
    expect(share({ points: '17.5', of: '20' })).toBe(87.5)
    expect(share({ points: '0', of: '20' })).toBe(0)
    expect(share({ points: null, of: '20' })).toBeNull()
    expect(share({ points: '5', of: '0' })).toBe(0)
  })

  it('leave held and not exercised items outside the total, but not zero', () => {
    expect(outside(sheet).map((one) => one.id)).toEqual(['held', 'none'])
  })

  it('round seconds up, so that late never looks in time', () => {
    expect(seconds(60_001)).toBe('60.1')
    expect(seconds(60_000)).toBe('60.0')
  })
})

describe('the score sheet', () => {
  const show = () => mount(ScoreSheetView, { props: { sheet }, global: { plugins: [i18n] } })

  it('says each kind of no points in another word and mark', () => {
    const marks = show().findAll('tbody .mark').map((mark) => mark.text())
    expect(new Set(marks).size).toBe(4)
  })

  it('unfolds the events that prove an item', async () => {
    const page = show()
    expect(page.text()).not.toContain('41')
    await page.find('.unfold').trigger('click')
    expect(page.text()).toContain('41')
    expect(page.text()).toContain('指令签收')
  })

  it('shows the whole sheet on paper and folds it again afterwards', async () => {
    const page = show()
    window.dispatchEvent(new Event('beforeprint'))
    await page.vm.$nextTick()
    expect(page.findAll('tr.open')).toHaveLength(4)
    window.dispatchEvent(new Event('afterprint'))
    await page.vm.$nextTick()
    expect(page.findAll('tr.open')).toHaveLength(0)
  })
})

describe('the YAML editor', () => {
  it('marks the line that was refused and says why', () => {
    const props = { modelValue: 'a: 1\nb: [\nc: 3', label: 'x', line: 2, message: 'expected ]' }
    const page = mount(YamlEditor, { props, global: { plugins: [i18n] } })
    expect(page.find('.gutter .bad').text()).toBe('2')
    expect(page.find('[role=alert]').text()).toContain('第 2 行')
    expect(page.find('[role=alert]').text()).toContain('expected ]')
  })
})
