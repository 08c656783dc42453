/** How a score sheet is shown: decimals stay text, so that nothing is rounded behind anybody's back. Pure. */
import type { ScoreItem, ScoreSheet } from '@/wire/types'

export type Status = ScoreItem['status']

/** Share of the item's worth, 0..100, for the bar; null when the item carries no points. */
export function share(item: Pick<ScoreItem, 'points' | 'of'>): number | null {
  if (item.points === null) return null
  const of = Number(item.of)
  return of > 0 ? Math.max(0, Math.min(100, (Number(item.points) / of) * 100)) : 0
}

/** Items outside the total: held and not exercised, which are two different things and neither is zero. */
export function outside(sheet: Pick<ScoreSheet, 'items'>): ScoreItem[] {
  return sheet.items.filter((item) => item.points === null)
}

/** Milliseconds as seconds with one decimal, rounded up as the sheet's own words do. */
export function seconds(ms: number): string {
  return (Math.ceil(ms / 100) / 10).toFixed(1)
}

export function shortHash(hash: string): string {
  return hash.slice(0, 12)
}
