import type { DemoPerson, Role } from '@/wire/types'

const ORDER: Role[] = [
  'commander', 'department', 'field', 'organiser', 'evaluator', 'system_admin', 'security_admin', 'auditor',
]

/** People by role, in the order of the work; roles without people are left out. */
export function byRole(people: DemoPerson[]): { role: Role; people: DemoPerson[] }[] {
  return ORDER.map((role) => ({ role, people: people.filter((person) => person.role === role) })).filter(
    (group) => group.people.length > 0,
  )
}
