/// <reference types="vite/client" />
declare const __VUE_OPTIONS_API__: boolean;
