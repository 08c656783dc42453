import { useUnits } from '@/state/units'
import type { Order } from '@/wire/types'

/** The receiving unit's name in the language in force; the hub's own word until the units are known. */
export function useUnitName(): (order: Pick<Order, 'unit' | 'unit_name'>) => string {
  const units = useUnits()
  return (order) => (units.byId.has(order.unit) ? units.nameOf(order.unit) : order.unit_name)
}
