import { createRouter, createWebHistory, type RouteRecordRaw, type Router } from 'vue-router'
import { useSession } from '@/state/session'
import type { Right } from '@/wire/types'

declare module 'vue-router' {
  interface RouteMeta {
    title?: string // i18n key under page.
    right?: Right
    open?: boolean // needs nobody signed in
  }
}

const pages: RouteRecordRaw[] = [
  { path: 'wall', name: 'wall', component: () => import('@/features/wall/WallPage.vue'), meta: { title: 'wall', right: 'camera.watch' } },
  { path: 'alerts', name: 'alerts', component: () => import('@/features/alerts/AlertsPage.vue'), meta: { title: 'alerts', right: 'alert.read' } },
  { path: 'conference', name: 'conference', component: () => import('@/features/conference/ConferencePage.vue'), meta: { title: 'conference', right: 'conference.join' } },
  { path: 'incidents', name: 'incidents', component: () => import('@/features/incidents/IncidentsPage.vue'), meta: { title: 'incidents', right: 'incident.read' } },
  { path: 'incidents/:id', name: 'incident', component: () => import('@/features/incidents/IncidentPage.vue'), props: true, meta: { title: 'incident', right: 'incident.read' } },
  { path: 'orders', name: 'orders', component: () => import('@/features/orders/OrdersPage.vue'), meta: { title: 'orders', right: 'order.read' } },
  { path: 'drills', name: 'drills', component: () => import('@/features/drills/DrillsPage.vue'), meta: { title: 'drills', right: 'drill.read' } },
  { path: 'drills/:id', name: 'drill', component: () => import('@/features/drills/DrillPage.vue'), props: true, meta: { title: 'drill', right: 'drill.read' } },
  { path: 'log', name: 'log', component: () => import('@/features/log/LogPage.vue'), meta: { title: 'log', right: 'log.read' } },
  { path: 'users', name: 'users', component: () => import('@/features/users/UsersPage.vue'), meta: { title: 'users', right: 'user.manage' } },
  { path: 'devices', name: 'devices', component: () => import('@/features/devices/DevicesPage.vue'), meta: { title: 'devices', right: 'camera.manage' } },
  { path: 'platforms', name: 'platforms', component: () => import('@/features/platforms/PlatformsPage.vue'), meta: { title: 'platforms', right: 'camera.manage' } },
  { path: 'system', name: 'system', component: () => import('@/features/system/SystemPage.vue'), meta: { title: 'system', right: 'system.read' } },
  { path: 'tour', name: 'tour', component: () => import('@/features/tour/TourPage.vue'), meta: { title: 'tour' } },
]

export interface NavItem {
  name: string
  right: Right
}

/** The bar's entries in their order: pages that need a right and no parameter. */
export const NAV: readonly NavItem[] = pages.flatMap((page) =>
  page.meta?.right && !page.path.includes(':') ? [{ name: page.name as string, right: page.meta.right }] : [],
)

/** The first page that this person may see. */
export function homeOf(can: (right: Right) => boolean): string {
  // who looks at no camera comes to act on orders, or to judge a drill
  if (!can('camera.watch') && can('order.answer')) return 'orders'
  if (!can('camera.watch') && can('drill.read')) return 'drills'
  return NAV.find((item) => can(item.right))?.name ?? 'tour'
}

/** Where a visitor may go: an answer other than true is the page to show instead. */
export function guard(
  to: { name: unknown; fullPath: string; meta: { right?: Right; open?: boolean } },
  session: { me: unknown; can: (right: Right) => boolean },
): true | { name: string; query?: { to: string } } {
  if (!session.me) {
    if (to.meta.open) return true
    return to.fullPath === '/' ? { name: 'login' } : { name: 'login', query: { to: to.fullPath } }
  }
  if (to.name === 'login' || to.name === 'home') return { name: homeOf(session.can) }
  if (to.meta.right && !session.can(to.meta.right)) return { name: homeOf(session.can) }
  return true
}

export function createConsoleRouter(): Router {
  const router = createRouter({
    history: createWebHistory(),
    routes: [
      { path: '/login', name: 'login', component: () => import('@/features/login/LoginPage.vue'), meta: { open: true, title: 'login' } },
      {
        path: '/',
        component: () => import('@/features/frame/AppFrame.vue'),
        children: [{ path: '', name: 'home', component: { render: () => null } }, ...pages],
      },
      { path: '/:rest(.*)*', redirect: '/' },
    ],
  })
  router.beforeEach(async (to) => {
    const session = useSession()
    try {
      await session.load()
    } catch {
      // the hub is away: the sign-in page says so and offers to try again
      return to.name === 'login' ? true : { name: 'login', query: { to: to.fullPath } }
    }
    return guard(to, session)
  })
  return router
}
