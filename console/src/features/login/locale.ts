export const zh = {
  login: {
    title: '登录',
    product: '视频指挥调度',
    username: '用户名',
    password: '密码',
    enter: '登录',
    entering: '正在登录…',
    demo: '演示：一键进入',
    demo_hint: '仅在本机演示时可用，选择角色即可进入',
    ended: '登录已失效，请重新登录',
    away: '连不上服务器，正在等待恢复…',
    username_missing: '请输入用户名',
    password_missing: '请输入密码',
  },
  error: {
    session_wrong: '用户名或密码错误',
    session_too_many: '尝试次数过多，请稍后再试',
  },
}

export const en: typeof zh = {
  login: {
    title: 'Sign in',
    product: 'Video and dispatch',
    username: 'User name',
    password: 'Password',
    enter: 'Sign in',
    entering: 'Signing in…',
    demo: 'Demonstration: enter with one click',
    demo_hint: 'On this machine only. Choose a role to enter',
    ended: 'Your session has ended. Sign in again',
    away: 'The server cannot be reached; waiting for it…',
    username_missing: 'Enter your user name',
    password_missing: 'Enter your password',
  },
  error: {
    session_wrong: 'Wrong user name or password',
    session_too_many: 'Too many attempts. Wait a little and try again',
  },
}
