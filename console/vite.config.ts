import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import elementPlus from 'unplugin-element-plus/vite'
import { defineConfig } from 'vitest/config'

const hub = process.env.SHARPEYES_HUB ?? 'http://127.0.0.1:8800'

export default defineConfig({
  plugins: [vue(), elementPlus({})],
  resolve: {
    alias: {
      '@': fileURLToPath(new URL('./src', import.meta.url)),
      '@docs': fileURLToPath(new URL('../docs', import.meta.url)),
    },
  },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the hub's content security policy allows no data: sources
    chunkSizeWarningLimit: 600,
  },
  server: {
    port: 5173,
    fs: { allow: ['..'] },
    proxy: {
      '/api': hub,
      '/whep': hub,
      '/whip': hub,
      '/ws': { target: hub, ws: true },
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.ts'],
    restoreMocks: true,
    server: { deps: { inline: ['element-plus'] } },
  },
})
