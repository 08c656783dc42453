import { expect, it } from 'vitest'
import type { DemoPerson, Role } from '@/wire/types'
import { byRole } from './people'

const person = (username: string, role: Role): DemoPerson => ({ username, name: username, role, unit: 'u', unit_name: 'u' })

it('groups people in the order of the work and leaves empty roles out', () => {
  const groups = byRole([person('a', 'auditor'), person('d1', 'department'), person('c', 'commander'), person('d2', 'department')])
  expect(groups.map((group) => [group.role, group.people.map((one) => one.username)])).toEqual([
    ['commander', ['c']], ['department', ['d1', 'd2']], ['auditor', ['a']],
  ])
})
