import { createPinia } from 'pinia'
import { createApp } from 'vue'
import 'element-plus/theme-chalk/base.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import '@/styles/tokens.css'
import '@/styles/base.css'
import App from '@/App.vue'
import { i18n } from '@/i18n'
import { createConsoleRouter } from '@/router'
import { installEscape } from '@/ui/escape'

const app = createApp(App)
app.use(createPinia())
app.use(i18n)
app.use(createConsoleRouter())
installEscape()
app.mount('#app')
