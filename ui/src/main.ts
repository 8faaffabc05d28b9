import './styles/base.css'
import { mount } from 'svelte'
import App from './App.svelte'
import { theme } from './lib/theme.svelte'

theme.apply()
mount(App, { target: document.body })
