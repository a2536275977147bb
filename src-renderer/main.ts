import { createPinia } from "pinia";
import { createApp } from "vue";
import { config } from "zod";
import App from "./App.vue";
import { connect } from "./backend/connect.ts";
import { connectionKey } from "./stores/connection.ts";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";

// The content security policy forbids making functions from text, which zod would otherwise try.
config({ jitless: true });

const connection = await connect();
createApp(App).use(createPinia()).provide(connectionKey, connection).mount("#app");
