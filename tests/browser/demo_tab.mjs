// node demo_tab.mjs URL: a headless tab opens the page, joins, and stays until the federation has finished.
// Exit code 0 when updates of this tab were counted.
import {joinIn, launch, number, openPage, text, until} from './support.mjs';

const [url] = process.argv.slice(2);
if (!url) {
  console.error('usage: node demo_tab.mjs URL');
  process.exit(2);
}

const browser = await launch();
const problems = [];
let counted = 0;
try {
  const tab = await openPage(await browser.newContext(), url, problems);
  console.log(`tab: opened ${url}`);
  await joinIn(tab, 'headless tab');
  console.log(`tab: joined`);
  let said = '';
  await until('the end of the federation', async () => {
    counted = Math.max(counted, await number(tab, '#mine-rounds'));
    const line = `${counted} counted, ${await text(tab, '#mine-sent')} sent: ${await text(tab, '#activity')}`;
    if (line !== said) console.log(`tab: ${(said = line)}`);
    // The coordinator may end right after its last round: that is an end too.
    return /finished/.test(said) || (counted > 0 && (await tab.locator('#connection.bad').count()) > 0);
  }, 30 * 60 * 1000);
} catch (error) {
  problems.push(error instanceof Error ? error.message : String(error));
} finally {
  await browser.close();
}
for (const problem of problems) console.error(`tab: ${problem}`);
console.log(counted > 0 ? `tab: ${counted} updates of this tab were aggregated` : 'tab: no update of this tab was aggregated');
process.exit(counted > 0 ? 0 : 1);
