/** A region on a picture: corners as parts of its width and height, 0 to 1. Pure. */
export type Point = readonly [number, number]

export const LEAST = 3
export const MOST = 32 // hub/api/schemas/rules.py, IntrusionParams
export const START: readonly Point[] = [[0.25, 0.35], [0.75, 0.35], [0.85, 0.9], [0.15, 0.9]]

function share(value: number): number {
  return Math.min(1, Math.max(0, Math.round(value * 1_000) / 1_000))
}

/** The corner `at` put elsewhere, kept within the picture. */
export function moved(points: readonly Point[], at: number, to: Point): Point[] {
  return points.map((point, place) => (place === at ? [share(to[0]), share(to[1])] : point))
}

/** A new corner halfway from `at` to the next one; unchanged when there are enough. */
export function split(points: readonly Point[], at: number): Point[] {
  const [from, to] = [points[at], points[(at + 1) % points.length]]
  if (!from || !to || points.length >= MOST) return [...points]
  const middle: Point = [share((from[0] + to[0]) / 2), share((from[1] + to[1]) / 2)]
  return [...points.slice(0, at + 1), middle, ...points.slice(at + 1)]
}

/** Without the corner `at`; a region keeps at least three. */
export function without(points: readonly Point[], at: number): Point[] {
  return points.length <= LEAST ? [...points] : points.filter((_, place) => place !== at)
}

/** Part of the picture that lies inside, 0 to 1. */
export function area(points: readonly Point[]): number {
  const twice = points.reduce((sum, [x, y], at) => {
    const [u, v] = points[(at + 1) % points.length] ?? [x, y]
    return sum + x * v - u * y
  }, 0)
  return Math.abs(twice) / 2
}

/** As SVG writes it, in per cent. */
export function outline(points: readonly Point[]): string {
  return points.map(([x, y]) => `${String(x * 100)},${String(y * 100)}`).join(' ')
}

/** The region in a rule's parameters as the hub keeps them; empty when there is none. */
export function regionOf(params: Readonly<Record<string, unknown>>): Point[] {
  if (!Array.isArray(params.polygon)) return []
  return params.polygon.flatMap<Point>((point: unknown) => {
    const [x, y] = Array.isArray(point) ? (point as unknown[]) : []
    return typeof x === 'number' && typeof y === 'number' ? [[x, y]] : []
  })
}
