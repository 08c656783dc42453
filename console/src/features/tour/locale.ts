export const zh = {
  tour: {
    hint: '十分钟走完从摄像机到评分的全线',
    missing: '此版本未附导览',
    missing_hint: '可先到指挥台，按 ? 查看快捷键',
  },
}

export const en: typeof zh = {
  tour: {
    hint: 'From a camera to a score in ten minutes',
    missing: 'This build has no tour',
    missing_hint: 'Go to the wall and press ? for the keys',
  },
}
